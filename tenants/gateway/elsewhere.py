"""Turns requests beyond plain inference into what is sent, and checks whose things they name.

What a workspace made stays in it: every id in a path or a body is looked up first, and what is not
this workspace's looks as if it were not there. Nothing is asked of Mistral to find out.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from tenants.common.problems import Forbidden, Invalid, NotFound
from tenants.gateway import bounding, conversations, jobs, media, requests, weighing
from tenants.gateway.addresses import Action, Place
from tenants.gateway.aftermaths import FilteredList, Forgotten, JobSeen, Kept, LearnedAgent, Renamed
from tenants.gateway.bounds import Bounds
from tenants.gateway.encoded import Pairs, is_encoded
from tenants.gateway.endpoints import Endpoint, Kind
from tenants.gateway.multipart import Form, boundary_of
from tenants.gateway.requests import Request
from tenants.gateway.scanning import BatchScan
from tenants.gateway.shelf import Shelf
from tenants.gateway.snapshots import Picture
from tenants.gateway.spool import Spool
from tenants.gateway.uploads import Upload, Watcher
from tenants.mistral.pool import UpstreamPool
from tenants.registry.models import ForeignParameters, NewEndpoints, ResourceKind
from tenants.registry.resources import Owner
from tenants.spend.batches import JOB
from tenants.spend.pricing import Bound

_NOTHING = Bound(0, context_length=0, generates=False)
_MOST_QUERY = 4096
_HEAD_OF_MEDIA, _ENOUGH_OF_MEDIA = 64 * 1024, 4 * 1024
_DELETE = "DELETE"
_WITHOUT_BODY = frozenset({"GET", _DELETE})
_FINE_TUNED = "ft:"
_FILE, _PURPOSE, _BATCH = "file", "purpose", "batch"
_SIZE = "bytes"
#: Fields that could have another recording heard than the one in the form.
_RIVALS = frozenset({"file_id", "file_url", _FILE})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: who asks, and how its body can be had.

    Attributes:
        body: gives it as a whole.
        piece: gives the next piece of it; nothing at its end.
        keep: has room for so many bytes of the pieces, or refuses.
        spool: where the pieces may wait on disk.
    """

    picture: Picture
    owner: Owner
    headers: Mapping[bytes, bytes]
    query: bytes
    body: Callable[[], Awaitable[bytes]]
    piece: Callable[[], Awaitable[bytes]]
    keep: Callable[[int], None]
    spool: Callable[[], Spool]

    @property
    def whose(self) -> UUID:
        """The organization that asks."""
        return self.owner.organization_id

    @property
    def suffix(self) -> str:
        """The query as it came, with its question mark.

        Raises:
            Invalid: no address can have it.
        """
        try:
            text = self.query.decode("ascii")
        except UnicodeDecodeError:
            text = "#"
        if len(text) > _MOST_QUERY or "#" in text or not text.isprintable() or " " in text:
            raise Invalid("invalid_query", "The query is too long or malformed.", status=400)
        return f"?{text}" if text else ""


class Elsewhere:
    """The addresses beyond plain inference."""

    def __init__(self, shelf: Shelf, pool: UpstreamPool, limits: Bounds) -> None:
        self._shelf = shelf
        self._pool = pool
        self._bounds = limits
        self._readers: Mapping[Action, Callable[[Place, Asked], Awaitable[Request]]] = {
            Action.UPLOAD: self._upload,
            Action.LIST_FILES: self._list,
            Action.READ_FILE: self._file,
            Action.DOWNLOAD: self._download,
            Action.DELETE_FILE: self._file,
            Action.CREATE_JOB: self._create_job,
            Action.LIST_JOBS: self._list,
            Action.READ_JOB: self._job,
            Action.CANCEL_JOB: self._job,
            Action.DELETE_JOB: self._job,
            Action.START: self._start,
            Action.APPEND: self._go_on,
            Action.RESTART: self._go_on,
            Action.LIST_CONVERSATIONS: self._list,
            Action.READ_CONVERSATION: self._conversation,
            Action.DELETE_CONVERSATION: self._conversation,
            Action.AGENT: self._agent,
            Action.TRANSCRIBE: self._transcribe,
            Action.TUNED: self._tuned,
            Action.DELETE_MODEL: self._delete_model,
            Action.ASK_SOMETHING_NEW: self._new,
        }

    async def request(self, place: Place, asked: Asked) -> Request:
        """Read and check a request.

        Raises:
            Problem: what it is refused for.
        """
        if place.method in _WITHOUT_BODY:
            await asked.body()  # left unread, its end would be taken for a caller who has left
        return await self._readers[place.action](place, asked)

    # ── Files ────────────────────────────────────────────────────────────────────────────────────

    async def _upload(self, place: Place, asked: Asked) -> Request:
        scan = BatchScan(asked.whose)

        def look(data: bytes) -> None:
            purpose = upload.form.fields.get(_PURPOSE)
            if purpose is None or purpose.value == _BATCH:  # before its file: any other is no batch
                scan.feed(data)

        upload = self._form(asked, look, scan)

        def facts() -> dict[str, object]:
            form = upload.form
            size = sum(form.files.values())
            purpose = form.fields.get(_PURPOSE)
            kept: dict[str, object] = {_SIZE: size, "purpose": purpose.value if purpose else ""}
            if purpose.value == _BATCH if purpose else form.file_name.endswith(".jsonl"):
                # Of several it is not known which one Mistral keeps.
                is_one = set(form.files) == {_FILE} and _FILE not in form.fields
                kept |= scan.facts() if is_one and not form.is_foreign else {}
            return kept

        aftermath = Kept(self._shelf, asked.owner, ResourceKind.FILE, "id", facts)
        endpoint = Endpoint(place.template, Kind.PLACE)
        return Request(endpoint, upload, _NOTHING, aftermath=aftermath)

    async def _list(self, place: Place, asked: Asked) -> Request:
        aftermath = FilteredList(
            shelf=self._shelf,
            pool=self._pool,
            picture=asked.picture,
            owner=asked.owner,
            kind=_LISTED[place.action],
            path=place.path,
            query=parse_qsl(asked.suffix[1:]),
        )
        return self._plain(place, asked, aftermath=aftermath)

    async def _file(self, place: Place, asked: Asked) -> Request:
        found = await self._shelf.require(asked.owner, ResourceKind.FILE, [place.mistral_id])
        facts = found[place.mistral_id].facts
        if place.method == _DELETE and _SIZE not in facts:  # not uploaded: a job has written it
            await self._shelf.refuse_unmetered(asked.owner, facts.get(JOB))
        return self._one(place, asked, ResourceKind.FILE)

    async def _download(self, place: Place, asked: Asked) -> Request:
        await self._shelf.require(asked.owner, ResourceKind.FILE, [place.mistral_id])
        return self._plain(place, asked, kind=Kind.DOWNLOAD)

    # ── Batch jobs ───────────────────────────────────────────────────────────────────────────────

    async def _create_job(self, _place: Place, asked: Asked) -> Request:
        model = asked.picture.snapshot.model
        return await jobs.creation(await asked.body(), model, asked.owner, self._shelf)

    async def _job(self, place: Place, asked: Asked) -> Request:
        kind = ResourceKind.BATCH_JOB
        await self._shelf.require(asked.owner, kind, [place.mistral_id])
        if place.method == _DELETE:
            await self._shelf.refuse_unmetered(asked.owner, place.mistral_id)
            return self._one(place, asked, kind)
        body = await asked.body() if place.action is Action.CANCEL_JOB else b""
        seen = JobSeen(self._shelf, asked.owner)
        return self._plain(place, asked, body=body, aftermath=seen)

    # ── Conversations and agents ─────────────────────────────────────────────────────────────────

    async def _start(self, place: Place, asked: Asked) -> Request:
        return await conversations.start(
            Endpoint(place.template, Kind.CONVERSATION),
            await asked.body(),
            asked.picture.snapshot.model,
            asked.owner,
            self._shelf,
        )

    async def _go_on(self, place: Place, asked: Asked) -> Request:
        found = await self._shelf.require(
            asked.owner, ResourceKind.CONVERSATION, [place.mistral_id]
        )
        return await conversations.go_on(
            place,
            await asked.body(),
            model=asked.picture.snapshot.model,
            owner=asked.owner,
            shelf=self._shelf,
            facts=found[place.mistral_id].facts,
        )

    async def _conversation(self, place: Place, asked: Asked) -> Request:
        kind = ResourceKind.CONVERSATION
        await self._shelf.require(asked.owner, kind, [place.mistral_id])
        return self._one(place, asked, kind)

    async def _agent(self, place: Place, asked: Asked) -> Request:
        body = await asked.body()
        document = await weighing.apart(asked.whose, len(body), requests.read_object, body)
        body = await weighing.apart(asked.whose, len(body), requests.rewritten, document, body, {})
        endpoint, model = Endpoint(place.template, Kind.CHAT), asked.picture.snapshot.model
        bound = await weighing.apart(
            asked.whose, len(body), bounding.bound_of, endpoint, document, model, len(body)
        )
        agent_id = document.get("agent_id")
        facts: Mapping[str, object] = {}
        aftermath = None
        if isinstance(agent_id, str):
            facts = await conversations.agent(self._shelf, asked.owner, agent_id)
            aftermath = LearnedAgent(self._shelf, asked.owner, agent_id, facts)
        return Request(
            endpoint,
            body,
            conversations.of_an_agent(bound),
            requests.modifiers(document),
            priced_as=str(facts.get("model", "")),
            calls_connectors=bounding.looks_up(document),
            aftermath=aftermath,
            names_files=await weighing.apart(
                asked.whose, len(body), requests.named_files, document, body
            ),
            is_stream=requests.asks_for_a_stream(document),
        )

    # ── Recordings ───────────────────────────────────────────────────────────────────────────────

    async def _transcribe(self, place: Place, asked: Asked) -> Request:
        if is_encoded(asked.headers.get(b"content-type", b"")):
            return await self._transcribe_elsewhere(place, asked)
        head = bytearray()

        def listen(data: bytes) -> None:
            if len(head) < _HEAD_OF_MEDIA:
                head.extend(data[: _HEAD_OF_MEDIA - len(head)])

        upload = self._form(asked, listen)
        model = asked.picture.snapshot.model
        try:
            await upload.read_ahead(
                lambda form: form.is_over or (bool(form.files) and len(head) >= _ENOUGH_OF_MEDIA)
            )
            form = upload.form
            if "model" not in form.fields and form.files and not form.is_over:
                await upload.read_all(asked.spool())
            fields = upload.form.fields
            named = {"model": fields["model"].value} if "model" in fields else {}
            for name, value in requests.named_model(named, model).items():
                upload.set_field(self._boundary(asked), name, value)
        except BaseException:
            upload.close()
            raise
        file_id = fields.get("file_id")
        # Of several recordings, or of one and an address, it is not known which one is heard.
        is_alone = set(upload.form.files) == {_FILE} and not _RIVALS & set(fields)

        def size() -> int | None:
            form = upload.form
            return form.files[_FILE] if form.is_over else upload.length

        longest = bounding.LONGEST_RECORDING
        heard = media.seconds_in(bytes(head), size()) if is_alone else None
        return Request(
            Endpoint(place.template, Kind.TRANSCRIPTION),
            upload,
            Bound(
                0,
                context_length=0,
                generates=False,
                audio_seconds=min(heard or longest, longest),
            ),
            seconds=(lambda: media.lasting(bytes(head), size())) if is_alone else None,
            names_files=[file_id.value] if file_id else [],
        )

    async def _transcribe_elsewhere(self, place: Place, asked: Asked) -> Request:
        """Read a form without a file: Mistral's SDK sends it where the recording is elsewhere."""
        body = await asked.body()
        form = await weighing.apart(asked.whose, len(body), Pairs, body)
        asked_for = form.get("model")
        named = {} if asked_for is None else {"model": asked_for}
        changes = requests.named_model(named, asked.picture.snapshot.model)
        file_id = form.get("file_id")
        return Request(
            Endpoint(place.template, Kind.TRANSCRIPTION),
            await weighing.apart(asked.whose, len(body), form.with_changes, changes),
            Bound(
                0,
                context_length=0,
                generates=False,
                audio_seconds=bounding.LONGEST_RECORDING,
            ),
            names_files=[] if file_id is None else [file_id],
        )

    # ── Fine-tuned models ────────────────────────────────────────────────────────────────────────

    async def _tuned(self, place: Place, asked: Asked) -> Request:
        model = asked.picture.snapshot.model
        if place.mistral_id != model.mistral_model or not place.mistral_id.startswith(_FINE_TUNED):
            raise NotFound("model_not_found", "This token knows no such fine-tuned model.")
        renamed = Renamed(self._shelf, asked.owner, place.mistral_id)
        body = b"" if place.method in _WITHOUT_BODY else await asked.body()
        return self._plain(place, asked, body=body, aftermath=renamed)

    async def _delete_model(self, _place: Place, _asked: Asked) -> Request:
        raise Forbidden(
            "model_delete_refused",
            "A model token deletes no model: what was trained could not be had again. Delete it in"
            " Mistral's Studio.",
        )

    # ── What is not known here ───────────────────────────────────────────────────────────────────

    async def _new(self, place: Place, asked: Asked) -> Request:
        """Pass a question that names its model, where the workspace wants that."""
        refusal = NotFound("not_found", "There is no such endpoint.")
        if asked.picture.traffic.policy.new_endpoints is not NewEndpoints.LEAVE:
            raise refusal
        body = await asked.body()
        document = await weighing.apart(asked.whose, len(body), requests.read_object, body)
        if document.get("model") is None:
            raise refusal  # no question to a model
        endpoint, mode = Endpoint(place.template, Kind.NEW), ForeignParameters.LEAVE
        model = asked.picture.snapshot.model
        return await weighing.apart(
            asked.whose, len(body), requests.read, endpoint, body, model, mode
        )

    # ── Shared ───────────────────────────────────────────────────────────────────────────────────

    def _form(
        self, asked: Asked, on_file: Callable[[bytes], None], watcher: Watcher | None = None
    ) -> Upload:
        told = asked.headers.get(b"content-length", b"")
        length = int(told) if told.isdigit() else None
        most = self._bounds.upload
        if length is not None and length > most:
            raise Invalid("body_too_large", f"The body is larger than {most} bytes.", status=413)
        form = Form(self._boundary(asked), on_file)
        return Upload(asked.piece, form, length, most, keep=asked.keep, watcher=watcher)

    def _boundary(self, asked: Asked) -> bytes:
        return boundary_of(asked.headers.get(b"content-type", b""))

    def _one(self, place: Place, asked: Asked, kind: ResourceKind) -> Request:
        """Ask for one thing; a deleted one is forgotten here too."""
        aftermath = None
        if place.method == _DELETE:
            aftermath = Forgotten(self._shelf, asked.owner, kind, place.mistral_id)
        return self._plain(place, asked, aftermath=aftermath)

    def _plain(
        self,
        place: Place,
        asked: Asked,
        *,
        kind: Kind = Kind.PLACE,
        body: bytes = b"",
        aftermath: requests.Aftermath | None = None,
    ) -> Request:
        return Request(
            Endpoint(place.template, kind),
            body,
            _NOTHING,
            method=place.method,
            target=place.path + asked.suffix,
            aftermath=aftermath,
        )


_LISTED = {
    Action.LIST_FILES: ResourceKind.FILE,
    Action.LIST_JOBS: ResourceKind.BATCH_JOB,
    Action.LIST_CONVERSATIONS: ResourceKind.CONVERSATION,
}
