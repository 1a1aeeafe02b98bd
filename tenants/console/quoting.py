"""What a model's last 30 days would have cost on another one: before somebody switches."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.console import catalogue, words
from tenants.console.catalogue import Offer
from tenants.console.door import Page, Visit, page
from tenants.console.forms import HouseForm
from tenants.keys.models import MistralKey
from tenants.registry import catalog
from tenants.registry.models import RegisteredModel
from tenants.spend.quote import Priced, Quote, quote


class QuoteForm(HouseForm):
    """The other model."""

    model = forms.CharField(max_length=200, label=gettext_lazy("Another Mistral model"))

    def __init__(self, *args: object, offers: list[Offer], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        choices = [(offer.name, f"{offer.title} ({offer.name})") for offer in offers]
        asked = self.data.get("model") if self.is_bound else ""
        if asked and asked not in {name for name, _title in choices}:
            choices.append((asked, asked))
        self.fields["model"].widget = forms.Select(choices=choices)


@dataclass(frozen=True, slots=True)
class Line:
    """A meter: how much was used, and what that costs by today's prices and by those of then."""

    name: Promise | str
    used: int
    today: Decimal | None
    then: Decimal | None


class ModelQuote(Page):
    """``/models/<id>/quote``."""

    @page(TokenScope.MODELS_READ, TokenScope.SPEND_READ)
    def get(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Ask which, and compare; nothing is changed."""
        model = visit.find(RegisteredModel, model_id)
        with scope.tenant(visit.organization.pk):
            key = MistralKey.objects.get(pk=model.key_id)
            offered = catalogue.offers(visit.organization, [key])
        seen = [one for one in offered if one.is_chat and not one.is_retired]
        own = catalog.canonical(model.mistral_model)
        offers = [one for one in seen if one.version != own] or seen
        asked = visit.request.GET
        form = QuoteForm(asked if "model" in asked else None, offers=offers)
        found: Quote | None = None
        status = 200
        if form.is_bound and form.is_valid():
            try:
                found = quote(
                    organization=visit.organization,
                    model=model,
                    mistral_model=form.cleaned_data["model"],
                )
            except Problem as problem:
                form.refuse(problem)
                status = problem.status
        return visit.show(
            "models/quote",
            status,
            model=model,
            form=form,
            offers=offers,
            quote=found,
            lines=_lines(found) if found else [],
            changes=_changes(found) if found else None,
        )


def _lines(found: Quote) -> list[Line]:
    return [
        Line(
            words.METERS.get(meter, meter.value),
            used,
            _amount(found.todays, meter),
            _amount(found.then, meter),
        )
        for meter, used in found.quantities.items()
    ]


def _amount(priced: Priced, meter: object) -> Decimal | None:
    return next((amount for name, amount in priced.meters.items() if name == meter), None)


def _changes(found: Quote) -> dict[str, Decimal]:
    return {
        "today": found.todays.amount - found.actual,
        "then": found.then.amount - found.actual,
    }
