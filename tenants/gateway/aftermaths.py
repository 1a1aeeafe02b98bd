"""What follows from answers about things at Mistral: what is new is kept, lists are filtered.

What is made is written down before the caller learns of it, so that its next request finds it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson

from tenants.common.problems import Unavailable
from tenants.gateway import weighing
from tenants.gateway.calls import borrow_key
from tenants.gateway.requests import Aftermath
from tenants.gateway.shelf import Shelf
from tenants.gateway.snapshots import Picture
from tenants.mistral.pool import UpstreamPool
from tenants.registry.models import ResourceKind
from tenants.registry.resources import Owner
from tenants.spend import batches

_OPENING = 16 * 1024
_PAGE, _PAGE_SIZE = "page", "page_size"
_USUAL_PAGE, _LARGEST_PAGE = 100, 100
_MOST_PAGES = 50
_LARGEST_LIST = 16 * 1024 * 1024
_ID = "id"


class Kept(Aftermath):
    """Writes down what was made.

    Args:
        shelf: where.
        owner: whose it is.
        kind: what it is.
        member: of the answer, which names it.
        facts: what is known of it, asked for when it is there.
    """

    def __init__(
        self,
        shelf: Shelf,
        owner: Owner,
        kind: ResourceKind,
        member: str,
        facts: Callable[[], Mapping[str, Any]],
    ) -> None:
        super().__init__()
        self._shelf = shelf
        self._owner = owner
        self._kind = kind
        self._member = member
        self._facts = facts
        self._pattern = re.compile(
            rb'"%b"\s*:\s*"([A-Za-z0-9_.:-]{1,200})"' % re.escape(member.encode())
        )
        self._seen = b""
        self._is_kept = False

    async def whole(self, body: bytes) -> bytes:
        """Find the id in the answer, and write it down."""
        found = read(body).get(self._member)
        if isinstance(found, str):
            await self._keep(found)
        return body

    async def opening(self, chunk: bytes) -> None:
        """Find the id in the first events of a stream, and write it down."""
        if self._is_kept or len(self._seen) > _OPENING:
            return
        self._seen += chunk
        found = self._pattern.search(self._seen)
        if found is not None:
            await self._keep(found[1].decode())

    async def _keep(self, mistral_id: str) -> None:
        self._is_kept = True
        await self._shelf.keep(self._owner, self._kind, {mistral_id: self._facts()})


class LearnedAgent(Kept):
    """Writes down that an agent answered this workspace, and with which model it did."""

    def __init__(
        self, shelf: Shelf, owner: Owner, agent_id: str, facts: Mapping[str, object]
    ) -> None:
        super().__init__(shelf, owner, ResourceKind.AGENT, "model", dict)
        self._agent_id = agent_id
        self._known = facts

    async def whole(self, body: bytes) -> bytes:
        """Find the model in the answer, or at its outputs."""
        document = read(body)
        outputs = document.get("outputs")
        for part in (document, *(outputs if isinstance(outputs, list) else ())):
            if isinstance(part, dict) and isinstance(part.get("model"), str):
                await self._keep(part["model"])
                break
        return body

    async def _keep(self, mistral_id: str) -> None:
        """Take the model for what was found."""
        self._is_kept = True
        facts = {"model": mistral_id}
        if self._known == facts:
            return
        if self._known:
            await self._shelf.learn(self._owner, self._kind, self._agent_id, facts)
        else:
            await self._shelf.keep(self._owner, self._kind, {self._agent_id: facts})


class Heard(Aftermath):
    """Writes down that a conversation has more recordings, which its next turns read again."""

    def __init__(self, shelf: Shelf, owner: Owner, conversation_id: str, seconds: int) -> None:
        super().__init__()
        self._shelf = shelf
        self._owner = owner
        self._conversation_id = conversation_id
        self._seconds = seconds

    async def whole(self, body: bytes) -> bytes:
        """Mistral has answered, and so has stored them."""
        await self._hear()
        return body

    async def opening(self, chunk: bytes) -> None:
        """Mistral answers, and so has stored them."""
        await self._hear()

    async def _hear(self) -> None:
        seconds, self._seconds = self._seconds, 0
        if seconds:
            await self._shelf.hear(self._owner, self._conversation_id, seconds)


class Several(Aftermath):
    """Does one thing after the other."""

    def __init__(self, *parts: Aftermath) -> None:
        self._parts = parts

    async def whole(self, body: bytes) -> bytes:
        """Let each see the answer."""
        for part in self._parts:
            body = await part.whole(body)
        return body

    async def opening(self, chunk: bytes) -> None:
        """Let each see the beginning."""
        for part in self._parts:
            await part.opening(chunk)


class Forgotten(Aftermath):
    """Forgets what was deleted."""

    def __init__(self, shelf: Shelf, owner: Owner, kind: ResourceKind, mistral_id: str) -> None:
        self._shelf = shelf
        self._owner = owner
        self._kind = kind
        self._mistral_id = mistral_id

    async def whole(self, body: bytes) -> bytes:
        """Mistral has deleted it."""
        await self._shelf.forget(self._owner, self._kind, self._mistral_id)
        return body


class Renamed(Aftermath):
    """Writes down what a fine-tuned model is called now, and whether it is archived."""

    def __init__(self, shelf: Shelf, owner: Owner, mistral_id: str) -> None:
        self._shelf = shelf
        self._owner = owner
        self._mistral_id = mistral_id

    async def whole(self, body: bytes) -> bytes:
        """Mistral has changed it."""
        await self._shelf.change_card(self._owner, self._mistral_id, read(body))
        return body


class JobSeen(Aftermath):
    """Writes down the files that a batch job has made: they are its workspace's."""

    def __init__(self, shelf: Shelf, owner: Owner) -> None:
        self._shelf = shelf
        self._owner = owner

    async def whole(self, body: bytes) -> bytes:
        """Find the output and the errors."""
        job = read(body)
        made = [job.get(name) for name in ("output_file", "error_file")]
        facts = batches.file_facts(str(job.get(_ID, "")))
        files = {one: facts for one in made if isinstance(one, str) and one}
        await self._shelf.keep(self._owner, ResourceKind.FILE, files)
        return body


class FilteredList(Aftermath):
    """Shows, of everything that the key sees, what is the workspace's.

    A page that shows nothing else passes as it is. Otherwise Mistral's list is read from its
    beginning, as far as the page that was asked for needs, and that page is written anew.
    """

    def __init__(
        self,
        *,
        shelf: Shelf,
        pool: UpstreamPool,
        picture: Picture,
        owner: Owner,
        kind: ResourceKind,
        path: str,
        query: Sequence[tuple[str, str]],
    ) -> None:
        super().__init__()
        self._shelf = shelf
        self._pool = pool
        self._picture = picture
        self._owner = owner
        self._kind = kind
        self._path = path
        self._query = [pair for pair in query if pair[0] not in {_PAGE, _PAGE_SIZE}]
        asked = dict(query)
        self._number = _whole(asked.get(_PAGE), 0)
        self._size = _whole(asked.get(_PAGE_SIZE), _USUAL_PAGE)

    async def whole(self, body: bytes) -> bytes:
        """Filter the list."""
        document = await self._parsed(body)
        rows = _rows(document)
        if rows is None:
            raise _unreadable()
        total = document.get("total") if isinstance(document, dict) else None
        own = await self._own(rows)
        if self._number == 0 and len(own) == len(rows) and total in {None, len(rows)}:
            return body
        found, is_end = await self._walk((self._number + 1) * self._size)
        page = found[self._number * self._size :][: self._size]
        if not isinstance(document, dict):
            return orjson.dumps(page)
        if "total" in document:
            document["total"] = len(found) if is_end else None
        return orjson.dumps({**document, "data": page})

    async def _own(self, rows: list[Any]) -> list[Any]:
        """Keep the rows of the workspace, in their order."""
        ids = [row[_ID] for row in rows if isinstance(row, dict) and isinstance(row.get(_ID), str)]
        own = await self._shelf.among(self._owner, self._kind, ids)
        return [row for row in rows if isinstance(row, dict) and row.get(_ID) in own]

    async def _walk(self, wanted: int) -> tuple[list[Any], bool]:
        """Read Mistral's pages until so many rows of the workspace are found, or to the end."""
        found: list[Any] = []
        for number in range(_MOST_PAGES):
            query = [*self._query, (_PAGE, str(number)), (_PAGE_SIZE, str(_LARGEST_PAGE))]
            rows = await self._page(f"{self._path}?{urlencode(query)}")
            found += await self._own(rows)
            if len(rows) < _LARGEST_PAGE:
                return found, True
            if len(found) >= wanted:
                break
        return found, False

    async def _parsed(self, body: bytes) -> Any:
        return await weighing.apart(self._owner.organization_id, len(body), _parsed, body)

    async def _page(self, target: str) -> list[Any]:
        key = borrow_key(self._picture)
        async with self._pool.send("GET", target, {}, key=key) as answer:
            body = await answer.read(_LARGEST_LIST)
            rows = _rows(await self._parsed(body)) if answer.status == 200 else None  # noqa: PLR2004 - OK
        if rows is None:
            raise _unreadable()
        return rows


def read(body: bytes) -> dict[str, Any]:
    """Read an answer as an object; of anything else, an empty one."""
    document = _parsed(body)
    return document if isinstance(document, dict) else {}


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _rows(document: Any) -> list[Any] | None:
    rows = document.get("data") if isinstance(document, dict) else document
    return rows if isinstance(rows, list) else None


def _whole(text: str | None, default: int) -> int:
    if text is None or not (text.isascii() and text.isdigit()):
        return default
    return min(int(text), 1_000_000)


def _unreadable() -> Unavailable:
    return Unavailable(
        "list_unreadable",
        "Mistral's list cannot be read, and so cannot be shown: it may hold other workspaces'"
        " things. Try again.",
        status=502,
        retry_after=1,
    )
