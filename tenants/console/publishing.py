"""Models in AIsuru: have one pushed there, or taken away; how it stands is on its page."""

from dataclasses import dataclass
from uuid import UUID

from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.console.door import Page, Visit, page
from tenants.registry import failures, publications
from tenants.registry.failures import Explained, Failure
from tenants.registry.models import (
    AisuruConnection,
    Publication,
    PublicationStatus,
    RegisteredModel,
)

_WORDS: dict[str, tuple[Promise, str]] = {
    PublicationStatus.PENDING: (gettext_lazy("on its way"), "wait"),
    PublicationStatus.PUBLISHED: (gettext_lazy("published"), "good"),
    PublicationStatus.CHANGED: (gettext_lazy("changed in AIsuru"), "warn"),
    PublicationStatus.DELETED: (gettext_lazy("deleted in AIsuru"), "warn"),
    PublicationStatus.FAILED: (gettext_lazy("not published"), "bad"),
    PublicationStatus.WITHDRAWN: (gettext_lazy("taken away"), "off"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands in AIsuru, in words."""

    row: Publication
    word: Promise
    tone: str
    failure: Explained | None

    @property
    def is_waiting(self) -> bool:
        """Tell whether a worker is about to change something there."""
        return self.row.status == PublicationStatus.PENDING


def standing(model: RegisteredModel) -> Standing | None:
    """Read how a model stands, inside its scope; None if it never was to be there."""
    row = Publication.objects.filter(model=model).first()
    return in_words(row) if row else None


def in_words(row: Publication) -> Standing:
    """Say how a model stands."""
    word, tone = _WORDS[row.status]
    failure = failures.explain(Failure(row.failure)) if row.failure else None
    return Standing(row, word, tone, failure)


class Publish(Page):
    """``/models/<id>/publish``."""

    @page(TokenScope.MODELS_WRITE, TokenScope.KEYS_USE)
    def post(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Have it pushed, or taken away; a worker does it."""
        model = visit.find(RegisteredModel, model_id)
        said = visit.request.POST
        if said.get("action") == "withdraw" and said.get("sure") != "yes":
            return visit.show("aisuru/withdraw", model=model)
        if said.get("action") == "withdraw":
            publications.withdraw_model(
                actor=visit.actor, model_id=model.pk, organization_id=model.organization_id
            )
            visit.tell(_("The model is being taken away from AIsuru."))
        else:
            publications.publish_model(actor=visit.actor, model=model)
            visit.tell(_("The model is on its way to AIsuru."))
        return visit.go("console-model", model_id=model_id)


def of(organization_id: UUID, model: RegisteredModel) -> tuple[Standing | None, bool]:
    """Read how a model stands, and whether there is a login by which it can get there."""
    with scope.tenant(organization_id):
        return standing(model), AisuruConnection.objects.exists()
