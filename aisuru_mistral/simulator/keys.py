"""The keys the simulator knows: whose they are and how each behaves.

Refuses to read anything but keys.json.

`WELL_KNOWN` maps the name of a key ("valid", "rate_limited", "fresh", …) to the 32 characters that
a caller sends.
"""

import dataclasses
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import orjson

from aisuru_mistral.simulator import directives as dictated
from aisuru_mistral.simulator.directives import NOTHING, Directives

DATA = Path(__file__).parent / "data" / "keys.json"
KEY_SHAPE = re.compile(r"[A-Za-z0-9]{32}")
SCOPES = frozenset({"all", "models", "identity", "inference", "resources", "admin"})
IDENTITY_FORMS = frozenset({"any", "bearer", "x-api-key", "none"})


class BadKey(ValueError):  # noqa: N818 - reads as what happened
    """The description of a key cannot be understood."""


@dataclass(frozen=True, slots=True)
class FineTuned:
    """A fine-tuned model of an organization."""

    id: str
    root: str
    job: str
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer of Mistral. Ids in the model sets are canonical ids."""

    id: str
    name: str
    labs: bool = False
    priority_tier: bool = False
    free_plan: bool = False
    hidden_models: frozenset[str] = frozenset()
    denied_models: frozenset[str] = frozenset()
    zero_quota_models: frozenset[str] = frozenset()
    fine_tuned: tuple[FineTuned, ...] = ()


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace: limits, prompt cache and bills are counted here."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class User:
    """The person who made the key."""

    id: str
    email: str
    first_name: str
    last_name: str


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a key misbehaves.

    Attributes:
        error: the error or fault that answers, None for none.
        scope: which paths answer so: all, models, identity, inference, resources, admin.
        sequence: answers of its first calls, one each (None = as if valid), before `error`.
        repeat: begin the sequence again instead.
        for_seconds: `error` ends so many seconds after the key's first call.
    """

    error: str | None = None
    scope: str = "all"
    sequence: tuple[str | None, ...] = ()
    repeat: bool = False
    for_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the key's workspace; `hidden` keeps them out of the x-ratelimit headers.

    `window_seconds` is how long the "minute" of a test is.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    window_seconds: int = 60
    spend_usd: Decimal | None = None
    hidden: bool = False


GOOD = Behaviour()
UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class Key:
    """A key: the secret is what callers send, everything else is what Mistral knows about it.

    An `admin` key opens the Admin API and nothing else; other keys open everything else.
    """

    secret: str = dataclasses.field(repr=False)
    name: str
    key_name: str
    organization: Organization
    workspace: Workspace
    user: User
    about: str = ""
    behaviour: Behaviour = GOOD
    limits: Limits = UNLIMITED
    directives: Directives = NOTHING
    identity_auth: str = "any"
    admin: bool = False
    expires_on: str | None = None

    @property
    def id(self) -> str:
        """Mistral's id of the key."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"simulator key {self.secret}"))


def read_behaviour(given: Mapping[str, Any]) -> Behaviour:
    """A behaviour from JSON values.

    Raises:
        BadKey: a field or scope is unknown.
    """
    behaviour = _build(Behaviour, given)
    if behaviour.scope not in SCOPES:
        raise BadKey(f"unknown scope {behaviour.scope!r}; known: {', '.join(sorted(SCOPES))}")
    return dataclasses.replace(behaviour, sequence=tuple(behaviour.sequence))


def read_limits(given: Mapping[str, Any]) -> Limits:
    """Limits from JSON values; money as text.

    Raises:
        BadKey: a field is unknown or the money is none.
    """
    limits = _build(Limits, given)
    if limits.spend_usd is None:
        return limits
    try:
        return dataclasses.replace(limits, spend_usd=Decimal(str(limits.spend_usd)))
    except InvalidOperation as error:
        raise BadKey("spend_usd is no decimal number") from error


class Register:
    """Organizations, workspaces and users by the short names that descriptions of keys use."""

    def __init__(self) -> None:
        data = orjson.loads(DATA.read_bytes())
        self.organizations = {
            name: _read_organization(row) for name, row in data["organizations"].items()
        }
        self.workspaces = {
            (organization, name): Workspace(**row)
            for organization, about in data["organizations"].items()
            for name, row in about["workspaces"].items()
        }
        self.users = {name: User(**row) for name, row in data["users"].items()}
        self.keys = tuple(self.read_key(row) for row in data["keys"])

    def read_key(self, given: Mapping[str, Any]) -> Key:
        """A key from a row as keys.json has it.

        `organization`, `workspace` and `user` are names of known ones, or objects with their
        fields; left out, a new organization with one workspace is made for the key.

        Raises:
            BadKey: the key has not 32 letters and digits, or a field is unknown.
        """
        row = dict(given)
        secret = row.pop("key", None)
        if not isinstance(secret, str) or not KEY_SHAPE.fullmatch(secret):
            raise BadKey("a key is 32 letters and digits")
        name = str(row.pop("name", f"registered {secret[-4:]}"))
        organization = row.pop("organization", None)
        workspace = row.pop("workspace", None)
        try:
            key = Key(
                secret=secret,
                name=name,
                key_name=str(row.pop("key_name", name)),
                organization=self._organization(organization, secret),
                workspace=self._workspace(organization, workspace, secret),
                user=self._user(row.pop("user", None), secret),
                about=str(row.pop("about", "")),
                behaviour=read_behaviour(row.pop("behaviour", {})),
                limits=read_limits(row.pop("limits", {})),
                directives=dictated.from_mapping(row.pop("directives", {})),
                identity_auth=str(row.pop("identity_auth", "any")),
                admin=bool(row.pop("admin", False)),
                expires_on=row.pop("expires_on", None),
            )
        except dictated.BadDirective as error:
            raise BadKey(str(error)) from error
        if row:
            raise BadKey(f"unknown field {min(row)!r}")
        if key.identity_auth not in IDENTITY_FORMS:
            raise BadKey(f"identity_auth is one of {', '.join(sorted(IDENTITY_FORMS))}")
        return key

    def _organization(self, given: Any, secret: str) -> Organization:
        if isinstance(given, str):
            if given not in self.organizations:
                raise BadKey(f"unknown organization {given!r}")
            return self.organizations[given]
        fields = given or {}
        return _read_organization(
            {"id": _made_up("organization", secret), "name": "Registered at run time", **fields}
        )

    def _workspace(self, organization: Any, given: Any, secret: str) -> Workspace:
        if isinstance(given, str):
            if (organization, given) not in self.workspaces:
                raise BadKey(f"unknown workspace {given!r}")
            return self.workspaces[organization, given]
        fields = {"id": _made_up("workspace", secret), "name": "Default", **(given or {})}
        return _build(Workspace, fields)

    def _user(self, given: Any, secret: str) -> User:
        if isinstance(given, str):
            if given not in self.users:
                raise BadKey(f"unknown user {given!r}")
            return self.users[given]
        made_up = {
            "id": _made_up("user", secret),
            "email": "somebody@example.org",
            "first_name": "Some",
            "last_name": "Body",
        }
        return _build(User, {**made_up, **(given or {})})


def _read_organization(row: Mapping[str, Any]) -> Organization:
    fields = {name: value for name, value in row.items() if name != "workspaces"}
    for name in ("hidden_models", "denied_models", "zero_quota_models"):
        fields[name] = frozenset(fields.get(name, ()))
    fields["fine_tuned"] = tuple(_build(FineTuned, model) for model in fields.get("fine_tuned", ()))
    return _build(Organization, fields)


def _build[Thing](kind: type[Thing], fields: Any) -> Thing:
    try:
        return kind(**fields)
    except TypeError as error:
        raise BadKey(str(error)) from error


def _made_up(kind: str, secret: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"simulator {kind} {secret}"))


REGISTER = Register()
WELL_KNOWN: dict[str, str] = {key.name: key.secret for key in REGISTER.keys}
