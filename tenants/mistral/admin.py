"""The questions that workers ask Mistral's Admin API; it reads only, whatever the key may do.

Enterprise organizations have such a key, made apart from ordinary ones, which never work here
(docs/admin/admin-api/authentication). Guides show it as ``x-api-key``, the specification as a
bearer, and nobody published which works: the first is tried, and the other after a 401.
"""

from collections.abc import Callable, Iterator
from datetime import date
from enum import StrEnum
from itertools import count
from typing import Any
from urllib.parse import urlencode

import httpx

from tenants.common.secrets import Secret
from tenants.mistral import admin_wire as wire
from tenants.mistral.admin_usage import MonthUsage, read_usage_month
from tenants.mistral.asking import Asker, ClientTimeouts, Presentation, as_api_key, as_bearer
from tenants.mistral.errors import KeyRefusedError
from tenants.mistral.lenient import Listed

PAGE = 100
_PATIENT = ClientTimeouts()
#: No organization has more pages of anything; a far side that never ends them is given up.
MOST_PAGES = 200


class AdminHeader(StrEnum):
    """How the key is shown."""

    X_API_KEY = "x-api-key"
    BEARER = "bearer"


_FORMS: dict[AdminHeader, Presentation] = {
    AdminHeader.X_API_KEY: as_api_key,
    AdminHeader.BEARER: as_bearer,
}


class AdminClient(Asker):
    """Asks in the name of one Admin API key; close it, or use it in a ``with``.

    Args:
        base_url: ``https://api.mistral.ai``, with or without ``/v1``.
        key: the Admin API key.
        header: how to show it; None tries both, and keeps to the one that was accepted.
        timeouts: how long to wait.
        transport: the far side of the wire, for tests.
    """

    def __init__(
        self,
        base_url: str,
        key: Secret[str],
        *,
        header: AdminHeader | None = None,
        timeouts: ClientTimeouts = _PATIENT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(base_url, key, timeouts=timeouts, transport=transport)
        self.header = header

    def usage(self, month: date, workspace_id: str = "") -> MonthUsage:
        """Ask what a month used, of the organization or one workspace, by model and day.

        There is no figure per key: the finest cut is workspace, model and day.
        """
        chosen = {"month": str(month.month), "year": str(month.year)}
        if workspace_id:
            chosen["workspace_id"] = workspace_id
        return self._read("usage", read_usage_month, **chosen)

    def spend_limit(self) -> wire.SpendLimit:
        """Ask for the organization's spending limit; those of workspaces come with them."""
        return self._read("spend-limit", wire.read_spend_limit)

    def rate_limit(self) -> wire.RateLimit:
        """Ask for the organization's rate limits."""
        return self._read("rate-limit", wire.read_rate_limit)

    def roles(self) -> Listed[wire.AdminRole]:
        """Ask which id is which role."""
        return self._read("roles", wire.read_roles)

    def workspaces(self, page: int) -> Listed[wire.AdminWorkspace]:
        """Ask for a page of workspaces, from 1 on."""
        return self._read("workspaces", wire.read_workspaces, page=page, page_size=PAGE)

    def members(self, page: int) -> Listed[wire.AdminMember]:
        """Ask for a page of people, from 1 on; those invited come along."""
        return self._read("users", wire.read_members, page=page, page_size=PAGE)

    def api_keys(self, page: int) -> Listed[wire.AdminApiKey]:
        """Ask for a page of API keys, from 1 on; the Admin API calls it an offset."""
        return self._read("api-keys", wire.read_api_keys, limit=PAGE, offset=(page - 1) * PAGE)

    def _read[Answer](
        self, path: str, reader: Callable[[bytes], Answer], **query: str | int
    ) -> Answer:
        address = f"/v1/admin/{path}"
        if query:
            address += f"?{urlencode(query)}"
        if self.header is not None:
            return self.ask(address, _FORMS[self.header], reader)
        try:
            answer = self.ask(address, as_api_key, reader)
        except KeyRefusedError:
            pass
        else:
            self.header = AdminHeader.X_API_KEY
            return answer
        answer = self.ask(address, as_bearer, reader)
        self.header = AdminHeader.BEARER
        return answer


def pages[Row](
    ask: Callable[[int], Listed[Row]], first: int = 1
) -> Iterator[tuple[int, Listed[Row]]]:
    """Ask for page after page, until one is short or the told total was sent.

    A page counts by the rows that were sent, not by those that could be read.
    """
    sent = (first - 1) * PAGE
    for page in count(first):
        listed = ask(page)
        yield page, listed
        sent += listed.sent
        over = listed.total is not None and sent >= listed.total
        if over or not listed.sent or (listed.total is None and listed.sent < PAGE):
            return
        if page >= MOST_PAGES:
            return


def every[Row](ask: Callable[[int], Listed[Row]]) -> Listed[Row]:
    """Ask for all pages at once."""
    rows: list[Any] = []
    skipped = sent = 0
    for _page, listed in pages(ask):
        rows += listed.rows
        skipped += listed.skipped
        sent += listed.sent
    return Listed(tuple(rows), skipped, sent, sent)
