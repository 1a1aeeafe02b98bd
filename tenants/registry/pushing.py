"""What a worker asks of AIsuru for one model, with no transaction open; it decides nothing later.

A worker may die anywhere: before something is made over there, its name is written down, and who
comes next looks for it before making another.
"""

from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Any
from uuid import UUID

import structlog

from tenants.aisuru import configs
from tenants.aisuru.client import AisuruClient
from tenants.aisuru.completion_config import Flavour
from tenants.aisuru.configs import RemoteConfig
from tenants.aisuru.errors import AisuruMissingError, AisuruRefusedError
from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.registry.completion import completion_config
from tenants.registry.models import AisuruConnection, ModelToken, Publication, RegisteredModel

log = structlog.get_logger(__name__)


class NameTakenError(Exception):
    """A configuration of this name is there, and it was not made from here."""


@unique
class Job(Enum):
    """What there is to do."""

    PUSH = auto()
    REMOVE = auto()
    LOOK = auto()


@dataclass(slots=True)
class Claimed:
    """A publication that this worker has for a while, and all it needs to work on it."""

    claim: UUID
    job: Job
    row: Publication
    model: RegisteredModel
    base_url: str
    login: Secret[str]
    connection: AisuruConnection
    token: Secret[str]
    token_row: ModelToken | None
    others: frozenset[str]

    @property
    def config(self) -> dict[str, object]:
        """What AIsuru is to have, without its token."""
        return completion_config(self.model, flavour=Flavour[self.row.flavour.upper()])


def work(client: AisuruClient, claimed: Claimed) -> RemoteConfig | None:
    """Ask AIsuru; None where nothing is there any more."""
    if claimed.job is Job.PUSH:
        return _push(client, claimed)
    if claimed.job is Job.REMOVE:
        _remove(client, claimed)
        return None
    try:
        return client.config(claimed.row.config_id)
    except AisuruMissingError:
        return None


def _push(client: AisuruClient, claimed: Claimed) -> RemoteConfig | None:
    """Change what is there, or make it; None where it was deleted and is not to be made again.

    Raises:
        NameTakenError: another one has the name.
    """
    row = claimed.row
    if row.config_id:
        try:
            return client.update(row.config_id, claimed.config, claimed.token)
        except AisuruMissingError:
            if not row.may_create:
                return None
    found = _find(client, claimed)
    if found is not None:
        return client.update(found.config_id, claimed.config, claimed.token)
    name = claimed.model.name
    with scope.tenant(row.organization_id):
        mine(claimed).update(creating=name, config_id="")
    try:
        return client.create(claimed.config, claimed.token)
    except AisuruRefusedError:
        with scope.tenant(row.organization_id):
            mine(claimed).update(creating="")
        raise


def _find(client: AisuruClient, claimed: Claimed) -> RemoteConfig | None:
    """Look for what an earlier worker may have made, and for who else has the name.

    Raises:
        NameTakenError: somebody else has.
    """
    there = {one.name.casefold(): one for one in client.configs()}
    own = there.get(claimed.row.creating.casefold()) if claimed.row.creating else None
    if own is not None and _is_ours(own, claimed):
        return own
    other = there.get(claimed.model.name.casefold())
    if other is None:
        return None
    if claimed.row.may_adopt and other.config_id not in claimed.others:
        return other
    raise NameTakenError


def _is_ours(config: RemoteConfig, claimed: Claimed) -> bool:
    """Tell whether it leads to this gateway, and is no other publication's."""
    ours = configs.facts_of(claimed.config)
    is_here = config.facts["endPoint"] == ours["endPoint"]
    return is_here and config.config_id not in claimed.others


def _remove(client: AisuruClient, claimed: Claimed) -> None:
    """Delete what is there; what is there no more is as good as deleted."""
    config_id = claimed.row.config_id
    if not config_id and claimed.row.creating:
        there = {one.name: one for one in client.configs()}
        own = there.get(claimed.row.creating)
        config_id = own.config_id if own is not None and _is_ours(own, claimed) else ""
    if config_id:
        try:
            client.delete(config_id)
        except AisuruMissingError:
            log.info("already_gone", publication_id=str(claimed.row.pk))


def mine(claimed: Claimed) -> Any:
    """Select the publication, as long as the claim is this worker's."""
    return Publication.objects.filter(pk=claimed.row.pk, claim=claimed.claim)
