"""AIsuru's consumption of a month, asked for by a worker and brought into figures.

AIsuru counts tokens by a key whose meaning is not documented. One that names a model of the
organization, as it is called here and in AIsuru, or a model of Mistral's, is taken for that;
whatever else a tenant uses (other providers' models) is left out and counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.conf import settings

from tenants.aisuru.client import AisuruClient
from tenants.aisuru.consumption import Consumption
from tenants.common.secrets import Secret
from tenants.organizations import custody
from tenants.organizations.models import Organization
from tenants.registry import catalog
from tenants.registry.models import AisuruConnection, RegisteredModel


class UnaskableError(Exception):
    """AIsuru cannot be asked; ``code`` says why, in the terms of ``wording.of_failure``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Question:
    """What AIsuru is asked, and by whom."""

    base_url: str
    login: Secret[str]
    tenant: str


def tenant_of(organization: Organization, connection: AisuruConnection) -> str:
    """Name the tenant in AIsuru; empty where it is not known."""
    return connection.tenant or organization.aisuru_tenant


def prepare(organization: Organization) -> Question:
    """Gather what it takes to ask, inside the organization's scope.

    Raises:
        UnaskableError: something is missing.
    """
    connection = AisuruConnection.objects.first()
    if settings.AISURU_API_URL is None:
        raise UnaskableError("aisuru_not_configured")
    if connection is None:
        raise UnaskableError("aisuru_connection_missing")
    tenant = tenant_of(organization, connection)
    if not tenant:
        raise UnaskableError("aisuru_tenant_missing")
    try:
        login = custody.borrow(connection, custody.Slot.AISURU_LOGIN)
    except custody.UndecryptableError:
        raise UnaskableError("aisuru_connection_undecryptable") from None
    return Question(settings.AISURU_API_URL, login, tenant)


def ask(question: Question, month: date, seconds: float) -> tuple[Consumption, ...]:
    """Ask for a month, with no transaction open.

    Raises:
        AisuruError: no consumption came.
    """
    with AisuruClient(question.base_url, question.login, seconds=seconds) as client:
        return client.consumption(question.tenant, month)


def figures_of(found: Iterable[Consumption]) -> tuple[list[dict[str, Any]], int]:
    """Bring consumption into figures, inside the organization's scope.

    Returns:
        Figures as a caller would send them, one for each model and workspace, and how many counts
        were left out.
    """
    models = RegisteredModel.objects.order_by("id").values_list(
        "name", "snapshot", "mistral_model", "workspace_id"
    )
    ours = {
        name.casefold(): (snapshot or model, str(workspace))
        for name, snapshot, model, workspace in models
    }
    sums: dict[tuple[str, str | None], list[int]] = {}
    skipped = 0
    for one in found:
        if not one.prompt_tokens and not one.completion_tokens:
            continue
        known = catalog.find(one.key)
        place: tuple[str, str | None] | None = ours.get(one.key.casefold())
        place = place or ((known.id, None) if known else None)
        if place is None:
            skipped += 1
            continue
        counts = sums.setdefault(place, [0, 0])
        counts[0] += one.prompt_tokens
        counts[1] += one.completion_tokens
    return [
        {
            "category": "completion",
            "model": model,
            "workspace_id": workspace,
            "prompt_tokens": prompts,
            "completion_tokens": answers,
        }
        for (model, workspace), (prompts, answers) in sorted(sums.items(), key=str)
    ], skipped
