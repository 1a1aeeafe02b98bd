"""A stand-in of AIsuru's backend: logins, completion configs and consumption logs in memory.

Refuses to be more than what `@memori.ai/memori-api-client` shows of it (shapes) and memori-react's
`src/helpers/error.ts` (result codes). Assumed, because no client tells: refusals come with HTTP 200
unless `refusal_status` says otherwise; names are unique in a tenant, whatever the case; an owner is
told the `apiKey` of his configuration.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

type Json = dict[str, Any]

#: What the owner may write; everything else of a configuration is AIsuru's.
_WRITABLE = frozenset(
    {
        *("configName", "description", "provider", "modelName", "model", "contextSize", "timeout"),
        *("endPoint", "apiKey", "questionAnsweringEnabled", "importExportEnabled"),
        *("deepThoughtEnabled", "visibleToTenantUsers", "visibleToOtherUsers", "useAsDefault"),
        *("chargeable", "applyTo"),
    }
)
_PURPOSES = {
    "QA": "questionAnsweringEnabled",
    "IE": "importExportEnabled",
    "DT": "deepThoughtEnabled",
}
_PROVIDERS = frozenset(
    {
        *("OpenAI", "Anthropic", "Mistral", "Azure_OpenAI", "AWS_Anthropic", "Vertex_Anthropic"),
        "Custom_OpenAI",
    }
)
MESSAGES = {
    -13: "User or password invalid",
    -1: "Tenant not found",
    -101: "Session not found",
    -103: "Session expired",
    -901: "Invalid type",
    -902: "Invalid date format",
    -2401: "Missing name",
    -2404: "Missing API key",
    -2405: "Missing model",
    -2406: "No purpose specified",
    -2411: "Invalid purpose",
    -2414: "Invalid provider",
    -2421: "Completion config not found",
    -2422: "Completion config not accessible",
    -2442: "Name already exists",
    -2445: "Visibility not permitted",
    -2447: "Use as default requires tenant visibility",
}
#: What may be dictated for a request to come, instead of or on top of its answer.
FAULTS = frozenset({"unavailable", "busy", "garbage", "reset", "hang", "lost_answer", "expired"})


class Refused(Exception):  # noqa: N818 - reads as what happened
    """AIsuru says no, with a result code."""

    def __init__(self, code: int) -> None:
        super().__init__(MESSAGES.get(code, "Refused"))
        self.code = code


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who can sign in; `token` is what a sign-in gives, always the same one."""

    name: str
    password: str
    token: str
    tenant: str
    is_admin: bool = False
    is_expired: bool = False


_START = "51a00000-0000-4000-8000-00000000000"
_AURORA, _BOREA = "www.aurora.example", "www.borea.example"
WELL_KNOWN_LOGINS = (
    Login("aurora.admin", "aurora", f"{_START}1", _AURORA, is_admin=True),
    Login("aurora.user", "aurora", f"{_START}2", _AURORA),
    Login("borea.admin", "borea", f"{_START}3", _BOREA, is_admin=True),
    Login("aurora.late", "aurora", f"{_START}4", _AURORA, is_admin=True, is_expired=True),
)


@dataclass(slots=True)
class AisuruBackend:
    """Everything it remembers; may be read and changed while it runs.

    Attributes:
        logins: by token.
        configs: by id, `apiKey` included.
        logs: consumption logs by tenant, as they are answered.
        faults: of the next requests, one each; `None` lets one through.
        refusal_status: HTTP's status of a refusal.
        asked: method and address of every request, with `{token}` for the token.
    """

    logins: dict[str, Login] = field(default_factory=dict)
    configs: dict[str, Json] = field(default_factory=dict)
    logs: dict[str, list[Json]] = field(default_factory=dict)
    faults: deque[str | None] = field(default_factory=deque)
    refusal_status: int = 200
    asked: deque[str] = field(default_factory=lambda: deque(maxlen=10_000))

    def __post_init__(self) -> None:
        for login in WELL_KNOWN_LOGINS:
            self.logins[login.token] = login

    def dictate(self, *faults: str | None) -> None:
        """Have the next requests go wrong, one after the other.

        Raises:
            ValueError: no such fault.
        """
        unknown = {one for one in faults if one is not None} - FAULTS
        if unknown:
            raise ValueError(f"unknown fault {min(unknown)!r}; known: {', '.join(sorted(FAULTS))}")
        self.faults.extend(faults)

    def named(self, name: str) -> Json:
        """The configuration with this name.

        Raises:
            KeyError: there is none.
        """
        for config in self.configs.values():
            if config["configName"] == name:
                return config
        raise KeyError(name)

    def sign_in(self, body: Json) -> Json:
        """Give the token of a login."""
        for login in self.logins.values():
            given = (body.get("userName"), body.get("password"), body.get("tenant", login.tenant))
            if given == (login.name, login.password, login.tenant):
                user = {"userName": login.name, "tenant": login.tenant}
                return {"token": login.token, "user": user}
        raise Refused(-13)

    def login_of(self, token: str) -> Login:
        """Who has this token."""
        login = self.logins.get(token)
        if login is None:
            raise Refused(-101)
        if login.is_expired:
            raise Refused(-103)
        return login

    def seen_by(self, login: Login, purpose: str | None) -> list[Json]:
        """List what a login may use."""
        if purpose is not None and purpose not in _PURPOSES:
            raise Refused(-2411)
        found = (one for one in self.configs.values() if _sees(login, one))
        wanted = (one for one in found if purpose is None or one.get(_PURPOSES[purpose]))
        return [_told(login, one) for one in wanted]

    def read(self, login: Login, config_id: str) -> Json:
        """Read one."""
        return _told(login, self._accessible(login, config_id, _sees))

    def create(self, login: Login, body: Json) -> Json:
        """Make one, owned by the login."""
        made = {name: value for name, value in body.items() if name in _WRITABLE}
        self._check(login, made, None)
        if not made.get("apiKey"):
            raise Refused(-2404)
        made |= {
            "completionConfigID": str(uuid.uuid4()),
            "ownerUserName": login.name,
            "ownerTenantName": login.tenant,
        }
        self.configs[made["completionConfigID"]] = made
        return _told(login, made)

    def update(self, login: Login, config_id: str, body: Json) -> Json:
        """Change one; what is left out stays."""
        config = self._accessible(login, config_id, _owns)
        changed = config | {name: value for name, value in body.items() if name in _WRITABLE}
        self._check(login, changed, config_id)
        self.configs[config_id] = changed
        return _told(login, changed)

    def delete(self, login: Login, config_id: str) -> None:
        """Delete one."""
        self._accessible(login, config_id, _owns)
        del self.configs[config_id]

    def consumption(self, login: Login, tenant: str, kind: str, days: Iterable[str]) -> list[Json]:
        """The logs of a tenant from a day to another, both as yyyyMMdd."""
        if kind not in {"Daily", "Monthly"}:
            raise Refused(-901)
        bounds = list(days)
        if not all(len(day) == len("20261001") and day.isdecimal() for day in bounds):
            raise Refused(-902)
        if tenant != login.tenant or not login.is_admin:
            raise Refused(-1)
        first, last = (*bounds, *("00000000", "99999999")[len(bounds) :])[:2]
        return [
            log
            for log in self.logs.get(tenant, [])
            if log["type"] == kind and first <= log["from"][:10].replace("-", "") <= last
        ]

    def _accessible(self, login: Login, config_id: str, may: Callable[[Login, Json], bool]) -> Json:
        config = self.configs.get(config_id)
        if config is None:
            raise Refused(-2421)
        if not may(login, config):
            raise Refused(-2422)
        return config

    def _check(self, login: Login, config: Json, config_id: str | None) -> None:
        """Refuse what AIsuru's own documentation of the type refuses."""
        for name, code in (("configName", -2401), ("model", -2405)):
            if not config.get(name):
                raise Refused(code)
        if config.get("provider") not in _PROVIDERS:
            raise Refused(-2414)
        if not any(config.get(name) for name in _PURPOSES.values()):
            raise Refused(-2406)
        if config.get("visibleToTenantUsers") and not login.is_admin:
            raise Refused(-2445)
        if config.get("useAsDefault") and not config.get("visibleToTenantUsers"):
            raise Refused(-2447)
        for other_id, other in self.configs.items():
            same_tenant = other["ownerTenantName"] == login.tenant
            same_name = other["configName"].casefold() == config["configName"].casefold()
            if same_tenant and same_name and other_id != config_id:
                raise Refused(-2442)


def answer(code: int = 0, **members: Any) -> Json:
    """What every answer of AIsuru's carries."""
    return {
        "requestID": str(uuid.uuid4()),
        "requestDateTime": time.strftime("%Y/%m/%d %H:%M:%S.000", time.gmtime()),
        "resultCode": code,
        "resultMessage": "Ok" if code == 0 else MESSAGES.get(code, "Refused"),
        **members,
    }


def _owns(login: Login, config: Json) -> bool:
    is_same_tenant = config["ownerTenantName"] == login.tenant
    return is_same_tenant and (login.is_admin or config["ownerUserName"] == login.name)


def _sees(login: Login, config: Json) -> bool:
    is_same_tenant = config["ownerTenantName"] == login.tenant
    shared = config.get("visibleToOtherUsers") or (
        is_same_tenant and config.get("visibleToTenantUsers")
    )
    return bool(shared) or _owns(login, config)


def _told(login: Login, config: Json) -> Json:
    return dict(config) if _owns(login, config) else {**config, "apiKey": None}
