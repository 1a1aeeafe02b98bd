"""Models: list, create, try out, change, give another token, delete. A token is shown once."""

import contextlib
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Lower
from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.common.secrets import Secret
from tenants.console import catalogue, publishing, snippets, words
from tenants.console.catalogue import Offer
from tenants.console.door import Page, Visit, page
from tenants.console.forms import Amount, ChangeForm, HouseForm, Name, choices
from tenants.console.once import once
from tenants.console.sorting import CREATED, Column, sorted_page
from tenants.keys.models import MistralKey
from tenants.organizations.models import Workspace
from tenants.registry import services
from tenants.registry.completion import completion_config
from tenants.registry.conditions import MAX_TEMPERATURE
from tenants.registry.models import Purpose, RegisteredModel
from tenants.spend import batch_jobs, registered
from tenants.spend.services import set_limit

ROWS = 25
_COLUMNS = CREATED | {
    "name": Column(Lower("name")),
    "mistral": Column(F("mistral_model")),
}
_GRACES = (
    ("0", gettext_lazy("At once: whoever still uses the present token is refused")),
    ("3600", gettext_lazy("In an hour")),
    ("86400", gettext_lazy("In a day")),
    ("604800", gettext_lazy("In a week")),
)


#: Fields that are called as the row's members.
_OF_THE_ROW = ("name", "description", "purposes", "visible_to_tenant", "use_as_default")


class ModelForm(HouseForm):
    """What a model is made of."""

    name = Name(
        max_length=120,
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("How AIsuru and your colleagues call it."),
    )
    description = Name(max_length=500, required=False, label=gettext_lazy("Description"))
    model = forms.CharField(max_length=200, label=gettext_lazy("Mistral model"))
    key_id = forms.UUIDField(required=False, label=gettext_lazy("API key"), widget=forms.Select)
    purposes = forms.MultipleChoiceField(
        choices=choices(words.PURPOSES, Purpose.values),
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("What AIsuru uses it for"),
        error_messages={"required": gettext_lazy("Choose at least one.")},
    )
    spend_limit = Amount(
        required=False,
        label=gettext_lazy("Spending limit a month"),
        help_text=gettext_lazy(
            "It holds from the first call. Empty: only the wider limits hold. 0: no call goes"
            " through."
        ),
    )
    temperature = forms.FloatField(
        required=False, min_value=0, max_value=MAX_TEMPERATURE, label=gettext_lazy("Temperature")
    )
    max_tokens = forms.IntegerField(
        required=False, min_value=1, label=gettext_lazy("Longest answer, in tokens")
    )
    visible_to_tenant = forms.BooleanField(
        required=False, label=gettext_lazy("Others of the tenant may choose it in AIsuru")
    )
    use_as_default = forms.BooleanField(
        required=False, label=gettext_lazy("New agents start with it")
    )

    def __init__(self, *args: Any, keys: list[MistralKey], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = [(str(key.pk), words.key_called(key.name, key.last4)) for key in keys]
        best = [("", _("The valid one that lives longest"))]
        self.fields["key_id"].widget.choices = [*best, *named]
        self.has_keys = bool(named)

    def field_of(self, pointer: str) -> str | None:
        """Place what is wrong with a default at its own field."""
        return super().field_of(pointer.removeprefix("/defaults"))

    def facts(self, said: dict[str, Any]) -> dict[str, Any]:
        """Write what is said as the room takes it, without key and limit."""
        defaults = {
            name: said[name] for name in ("temperature", "max_tokens") if said[name] is not None
        }
        return {
            "mistral_model": said["model"],
            "defaults": defaults,
            **{name: said[name] for name in _OF_THE_ROW},
        }


class ModelChange(ChangeForm, ModelForm):
    """What a model is made of from now on."""

    def __init__(self, *args: Any, model: RegisteredModel, keys: list[MistralKey]) -> None:
        now = {name: getattr(model, name) for name in _OF_THE_ROW}
        now |= {"model": model.mistral_model, "key_id": model.key_id, **model.defaults}
        super().__init__(*args, now=now, keys=keys)


class TokenForm(HouseForm):
    """How to give a model another token."""

    grace_seconds = forms.TypedChoiceField(
        choices=_GRACES,
        coerce=int,
        widget=forms.RadioSelect,
        label=gettext_lazy("When the present token stops"),
    )


class Models(Page):
    """``/workspaces/<id>/models``."""

    @page(TokenScope.MODELS_READ)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """List them, newest first unless another order is asked for."""
        with scope.tenant(visit.organization.pk):
            rows = registered.present().filter(workspace=workspace_id)
            found = sorted_page(rows, _COLUMNS, visit.request.GET, limit=ROWS)
            models = registered.with_facts(found.rows)
            has_keys = bool(models) or bool(
                catalogue.valid_keys(visit.organization, visit.workspace)
            )
        return visit.show(
            "models/list",
            models=models,
            next=found.next,
            order=found.order,
            has_keys=has_keys,
            may_make=visit.may(TokenScope.MODELS_WRITE, TokenScope.KEYS_USE),
        )


class NewModel(Page):
    """``/workspaces/<id>/models/new``."""

    @page(TokenScope.MODELS_WRITE, TokenScope.KEYS_USE)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Show what can be chosen."""
        keys, offers = _choice(visit)
        first = next((one.name for one in offers if one.is_chat and not one.is_retired), "")
        form = ModelForm(
            keys=keys,
            initial={
                "key_id": visit.request.GET.get("key", ""),
                "model": first,
                "purposes": [Purpose.QUESTION_ANSWERING],
                "visible_to_tenant": True,
            },
        )
        return _form(visit, form, offers)

    @page(TokenScope.MODELS_WRITE, TokenScope.KEYS_USE)
    @once("console-models")
    def post(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Create it; the answer is the only page that ever shows its token."""
        keys, offers = _choice(visit)
        form = ModelForm(visit.request.POST, keys=keys)
        if not form.is_valid() or _refuses_retired(form, offers):
            return _form(visit, form, offers, 422)
        said = visit.screened(form)
        try:
            key_id = said["key_id"]
            model, token = services.create_model(
                actor=visit.actor,
                organization=visit.organization,
                workspace=visit.find(Workspace, workspace_id),
                key=visit.find(MistralKey, key_id) if key_id else None,
                **form.facts(said),
            )
        except Problem as problem:
            form.refuse(problem)
            return _form(visit, form, offers, problem.status)
        if said["spend_limit"] is not None:
            try:
                set_limit(
                    actor=visit.actor,
                    organization=visit.organization,
                    subject=model,
                    monthly_spend=said["spend_limit"],
                )
            except Problem as problem:
                # The model is there and its token is shown now or never: say what is missing.
                visit.warn(problem.detail)
        return _with_token(visit, model, token, 201, is_new=True)


class OneModel(Page):
    """``/models/<id>``."""

    @page(TokenScope.MODELS_READ)
    def get(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Show one, with the ways to call it and a place to try it."""
        model = _read(visit, model_id)
        published, is_connected = publishing.of(visit.organization.pk, model)
        return visit.show(
            "models/one",
            model=model,
            snippets=snippets.of(model, settings.PUBLIC_URL),
            config=snippets.as_text(completion_config(model)),
            may_write=visit.may(TokenScope.MODELS_WRITE),
            may_use=visit.may(TokenScope.MODELS_WRITE, TokenScope.KEYS_USE),
            may_limit=visit.may(TokenScope.LIMITS_WRITE),
            may_see_spend=visit.may(TokenScope.SPEND_READ),
            may_connect=visit.here.leads_to("console-aisuru"),
            published=published,
            is_connected=is_connected,
        )


class EditModel(Page):
    """``/models/<id>/edit``."""

    @page(TokenScope.MODELS_WRITE)
    def get(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Show what it is made of."""
        model = _read(visit, model_id)
        keys, offers = _choice(visit, model.key_id)
        return _form(visit, ModelChange(model=model, keys=keys), offers, model=model)

    @page(TokenScope.MODELS_WRITE)
    def post(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Change it; another key or Mistral model is checked as on creation."""
        model = _read(visit, model_id)
        keys, offers = _choice(visit, model.key_id)
        form = ModelChange(visit.request.POST, model=model, keys=keys)
        if form.is_valid() and not _refuses_retired(form, offers, model.mistral_model):
            said = visit.screened(form)
            changes = form.facts(said)
            changes["defaults"] = {
                **{k: v for k, v in model.defaults.items() if k == "safe_prompt"},
                **changes["defaults"],
            }
            try:
                key_id = said["key_id"]
                if key_id is not None and key_id != model.key_id:
                    changes["key"] = visit.find(MistralKey, key_id)
                if "key" in changes or changes["mistral_model"] != model.mistral_model:
                    visit.require(TokenScope.KEYS_USE)
                services.update_model(actor=visit.actor, model=model, changes=changes)
            except Problem as problem:
                form.refuse(problem)
            else:
                now = ModelChange(model=_read(visit, model_id), keys=keys)
                visit.tell(_("The model was changed."), form.way_back(visit.request.path, now))
                return visit.go("console-model", model_id=model_id)
        return _form(visit, form, offers, form.refused, model=model)


class NewToken(Page):
    """``/models/<id>/token``."""

    @page(TokenScope.MODELS_WRITE, TokenScope.KEYS_USE)
    def get(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Ask when the present one stops."""
        form = TokenForm(initial={"grace_seconds": "86400"})
        return visit.show("models/token", model=_read(visit, model_id), form=form)

    @page(TokenScope.MODELS_WRITE, TokenScope.KEYS_USE)
    @once("console-model")
    def post(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Make another; the answer is the only page that shows it."""
        model = _read(visit, model_id)
        form = TokenForm(visit.request.POST)
        if not form.is_valid():
            return visit.show("models/token", 422, model=model, form=form)
        token = services.rotate_token(actor=visit.actor, model=model, **form.cleaned_data)
        return _with_token(visit, model, token, 200)


class DeleteModel(Page):
    """``/models/<id>/delete``."""

    @page(TokenScope.MODELS_WRITE)
    def get(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Say what stops."""
        return visit.show("models/delete", model=_read(visit, model_id))

    @page(TokenScope.MODELS_WRITE)
    def post(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Delete it; what it cost stays in the reports."""
        model = _read(visit, model_id)
        forced = visit.request.POST.get("force") == "yes"
        checks = {} if forced else {"under_way": batch_jobs.under_way}
        try:
            services.retire_model(actor=visit.actor, model=model, **checks)
        except Problem as problem:
            return visit.show("models/delete", problem.status, model=model, refusal=problem.detail)
        visit.tell(_("The model was deleted: it answers no more calls."))
        return visit.go("console-models", workspace_id=model.workspace_id)


class Trial(Page):
    """``/models/<id>/trial``: a token for the page that tries the model out, and no other."""

    @page(TokenScope.MODELS_WRITE, TokenScope.KEYS_USE)
    def post(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Make one. The page keeps it in its memory and calls the gateway as AIsuru does."""
        model = _read(visit, model_id)
        token, ends_at = services.issue_trial_token(actor=visit.actor, model=model)
        return JsonResponse({"token": token.reveal(), "expires_at": ends_at}, status=201)


def _choice(visit: Visit, chosen: UUID | None = None) -> tuple[list[MistralKey], list[Offer]]:
    asked = visit.request.POST.get("key_id") or visit.request.GET.get("key") or ""
    with contextlib.suppress(ValueError):
        chosen = UUID(asked)
    with scope.tenant(visit.organization.pk):
        keys = catalogue.valid_keys(visit.organization, visit.workspace, chosen)
        return keys, catalogue.offers(visit.organization, keys)


def _refuses_retired(form: ModelForm, offers: list[Offer], present: str = "") -> bool:
    """Refuse what Mistral has retired, unless the model is bound to it already."""
    name = form.cleaned_data["model"]
    is_one = any(one.is_retired for one in offers if one.name == name)
    if not is_one or name == present:
        return False
    detail = _(
        "Mistral has retired this model. Choose another one: its replacement is named below."
    )
    form.add_error("model", detail)
    return True


def _form(
    visit: Visit,
    form: ModelForm,
    offers: list[Offer],
    status: int = 200,
    model: RegisteredModel | None = None,
) -> HttpResponse:
    chosen = form["model"].value()
    at_hand = [offer for offer in offers if not offer.is_retired]
    listed = {offer.name for offer in at_hand}
    with scope.tenant(visit.organization.pk):
        has_more_keys = catalogue.has_more_keys(visit.organization, visit.workspace)
    return visit.show(
        "models/form",
        status,
        has_more_keys=has_more_keys,
        form=form,
        chats=[offer for offer in at_hand if offer.is_chat],
        others=[offer for offer in at_hand if not offer.is_chat],
        retired=[offer for offer in offers if offer.is_retired],
        chosen=chosen,
        # What a model is bound to already stays choosable, whatever has become of it.
        other=chosen if model and chosen and chosen not in listed else "",
        model=model,
    )


def _with_token(
    visit: Visit, model: RegisteredModel, token: Secret[str], status: int, *, is_new: bool = False
) -> HttpResponse:
    shown = _read(visit, model.pk)
    return visit.show(
        "models/made",
        status,
        model=shown,
        token=token.reveal(),
        config=snippets.as_text(completion_config(shown, token=token)),
        is_new=is_new,
    )


def _read(visit: Visit, model_id: UUID) -> Any:
    with scope.tenant(visit.organization.pk):
        found = registered.with_facts(registered.present().filter(pk=model_id))
    if not found:
        raise not_found()
    return found[0]
