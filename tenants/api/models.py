"""Models over HTTP: what AIsuru calls a model. Its token is shown when it is made, never again."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.urls import reverse
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import Page, page
from tenants.access.permissions import require
from tenants.aisuru.completion_config import Flavour
from tenants.api import fields, publications, subjects
from tenants.api.completion_config import CompletionConfigOut
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import grace, scope
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.registry import services
from tenants.registry.completion import completion_config
from tenants.registry.conditions import MAX_TEMPERATURE
from tenants.registry.models import Publication, Purpose, RegisteredModel
from tenants.registry.status import BlockedReason, ModelStatus
from tenants.spend import batch_jobs, registered
from tenants.spend.services import set_limit


class DefaultsIn(In):
    """What a call gets that does not say otherwise."""

    temperature = fields.Number(min_value=0, max_value=MAX_TEMPERATURE, required=False)
    max_tokens = fields.Whole(min_value=1, required=False)
    safe_prompt = fields.Flag(required=False)


class ModelChange(In):
    """What may change."""

    key_id = fields.Id()
    name = fields.Text(max_length=120)
    description = fields.Text(max_length=500, allow_blank=True, multiline=True)
    model = fields.Text(max_length=200, help_text="Mistral's id: snapshot, alias or `ft:…`.")
    context_size = fields.Whole(min_value=1, allow_null=True)
    timeout = fields.Whole(min_value=1, allow_null=True)
    purposes = fields.Several(
        child=fields.OneOf(choices=Purpose.choices), min_length=1, max_length=len(Purpose)
    )
    defaults = DefaultsIn()
    external_id = fields.Text(max_length=200, allow_blank=True)
    visible_to_tenant = fields.Flag()
    use_as_default = fields.Flag()


class ModelIn(In):
    """A new model."""

    organization_id = fields.Id()
    workspace_id = fields.Id()
    key_id = fields.Id(
        required=False, allow_null=True, help_text="Without it, the best valid key is used."
    )
    name = fields.Text(max_length=120)
    description = fields.Text(max_length=500, required=False, allow_blank=True, multiline=True)
    model = fields.Text(max_length=200, help_text="Mistral's id: snapshot, alias or `ft:…`.")
    context_size = fields.Whole(min_value=1, required=False, allow_null=True)
    timeout = fields.Whole(min_value=1, required=False, allow_null=True)
    purposes = fields.Several(
        child=fields.OneOf(choices=Purpose.choices), min_length=1, max_length=len(Purpose)
    )
    defaults = DefaultsIn(required=False)
    spend_limit = fields.Amount(
        required=False, allow_null=True, help_text="A month's; enforced from the first call."
    )
    external_id = fields.Text(max_length=200, required=False, allow_blank=True)
    visible_to_tenant = fields.Flag(required=False)
    use_as_default = fields.Flag(required=False)


class ModelTokenRotationIn(In):
    """How to replace a token."""

    grace_seconds = fields.Whole(
        min_value=0,
        max_value=grace.MAX_SECONDS,
        default=0,
        help_text="How long the old token goes on working.",
    )


class ModelsQuery(subjects.WorkspaceQuery, PageQuery):
    """Which models."""

    purpose = fields.OneOf(choices=Purpose.choices, required=False)
    external_id = serializers.CharField(max_length=200, required=False)


class CompletionConfigQuery(In):
    """In which form."""

    flavour = fields.OneOf(
        choices=publications.FLAVOUR_NAMES,
        default="mistral",
        help_text="Which of AIsuru's providers the completion config is for.",
    )


class DeletionQuery(In):
    """How to delete it."""

    force = serializers.BooleanField(
        default=False, help_text="Even while batch jobs of it are under way."
    )


class DefaultsOut(Out):
    """What a call gets that does not say otherwise."""

    temperature = serializers.FloatField(required=False)
    max_tokens = serializers.IntegerField(required=False)
    safe_prompt = serializers.BooleanField(required=False)


class ModelOut(Out):
    """A model, without its token."""

    id = serializers.UUIDField()
    organization_id = serializers.UUIDField()
    workspace_id = serializers.UUIDField()
    key_id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    model = serializers.CharField(source="mistral_model")
    snapshot = serializers.CharField(
        help_text="Where `model` led when it was last looked at; empty before that."
    )
    context_size = serializers.IntegerField(allow_null=True)
    timeout = serializers.IntegerField(allow_null=True)
    purposes = serializers.ListField(child=serializers.ChoiceField(choices=Purpose.choices))
    defaults = DefaultsOut()
    spend_limit = fields.Amount(allow_null=True)
    external_id = serializers.CharField()
    visible_to_tenant = serializers.BooleanField()
    use_as_default = serializers.BooleanField()
    status = serializers.ChoiceField(choices=[(one.value, one.name) for one in ModelStatus])
    blocked_reason = serializers.ChoiceField(
        choices=[one.value for one in BlockedReason], allow_null=True
    )
    blocked_detail = serializers.CharField(allow_null=True, help_text="What to do about it.")
    publication = publications.PublicationOut(
        source="published", help_text="How it stands in AIsuru."
    )
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class NewModelOut(ModelOut):
    """A model that was just made."""

    token = serializers.CharField(help_text="Calls the gateway; shown only here.")
    completion_config = CompletionConfigOut()


class NewTokenOut(Out):
    """A model token that was just made."""

    token = serializers.CharField(help_text="Calls the gateway; shown only here.")
    completion_config = CompletionConfigOut()


class Models(ApiView):
    """``/models``."""

    @endpoint(
        "list_models",
        TokenScope.MODELS_READ,
        summary="List models",
        query=ModelsQuery,
        gives={200: page_of(ModelOut)},
    )
    def get(self, call: Call) -> Reply:
        """Of an organization or a workspace; deleted ones are not listed."""
        whose = subjects.find(call)
        with scope.tenant(whose.organization.pk):
            rows = registered.present()
            if whose.workspace is not None:
                rows = rows.filter(workspace=whose.workspace)
            if "purpose" in call.data:
                rows = rows.filter(purposes__contains=[call.data["purpose"]])
            if "external_id" in call.data:
                rows = rows.filter(external_id=call.data["external_id"])
            found = page(rows, **call.page)
            return Reply(Page(_with_facts(found.rows), found.next))

    @endpoint(
        "create_model",
        TokenScope.MODELS_WRITE,
        TokenScope.KEYS_USE,
        summary="Create a model",
        takes=ModelIn,
        query=CompletionConfigQuery,
        gives={201: NewModelOut},
        refuses=(409,),
        example={
            "organization_id": "01999999-0000-7000-8000-000000000001",
            "workspace_id": "01999999-0000-7000-8000-000000000002",
            "name": "Assistente",
            "model": "mistral-small-latest",
            "purposes": ["question_answering"],
            "spend_limit": "50.00",
        },
    )
    def post(self, call: Call) -> Reply:
        """The key must see the Mistral model; otherwise 422 with near matches."""
        facts = dict(call.data)
        organization = tenancy.find(call.principal, Organization, facts.pop("organization_id"))
        key_id, spend_limit = facts.pop("key_id", None), facts.pop("spend_limit", None)
        model, token = services.create_model(
            actor=call.actor,
            organization=organization,
            workspace=tenancy.find(call.principal, Workspace, facts.pop("workspace_id")),
            key=tenancy.find(call.principal, MistralKey, key_id) if key_id else None,
            mistral_model=facts.pop("model"),
            **facts,
        )
        # The token is in nobody's hands yet: the limit is there before the first call can be.
        if spend_limit is not None:
            set_limit(
                actor=call.actor,
                organization=organization,
                subject=model,
                monthly_spend=spend_limit,
            )
        shown = _read(call, model.pk)
        shown.token = token.reveal()
        shown.completion_config = completion_config(model, token=token, flavour=_flavour(call))
        return Reply(shown, 201, reverse("model", kwargs={"model_id": model.pk}))


class OneModel(ApiView):
    """``/models/{model_id}``."""

    @endpoint("get_model", TokenScope.MODELS_READ, summary="Read a model", gives={200: ModelOut})
    def get(self, call: Call, model_id: UUID) -> Reply:
        """Its token is never shown again."""
        return Reply(_read(call, model_id))

    @endpoint(
        "update_model",
        TokenScope.MODELS_WRITE,
        summary="Change a model",
        takes=ModelChange,
        gives={200: ModelOut},
        refuses=(409,),
        example={"description": "Per il sito"},
    )
    def patch(self, call: Call, model_id: UUID) -> Reply:
        """Only the members sent are changed; another key or Mistral model needs `keys:use`."""
        changes = dict(call.data)
        if changes.keys() & {"key_id", "model"}:
            require(call.principal, TokenScope.KEYS_USE)
        model = _read(call, model_id)
        if "key_id" in changes:
            changes["key"] = tenancy.find(call.principal, MistralKey, changes.pop("key_id"))
        if "model" in changes:
            changes["mistral_model"] = changes.pop("model")
        services.update_model(actor=call.actor, model=model, changes=changes)
        return Reply(_read(call, model_id))

    @endpoint(
        "delete_model",
        TokenScope.MODELS_WRITE,
        summary="Delete a model",
        query=DeletionQuery,
        gives={204: None},
        refuses=(409,),
    )
    def delete(self, call: Call, model_id: UUID) -> Reply:
        """Its tokens stop at once; what it cost stays in the reports.

        A published one is taken away from AIsuru, too: `GET …/publication` goes on telling how.
        """
        checks = {} if call.query["force"] else {"under_way": batch_jobs.under_way}
        services.retire_model(actor=call.actor, model=_read(call, model_id), **checks)
        return Reply(None, 204)


class ModelToken(ApiView):
    """``/models/{model_id}/token``."""

    @endpoint(
        "rotate_model_token",
        TokenScope.MODELS_WRITE,
        TokenScope.KEYS_USE,
        summary="Replace a model's token",
        takes=ModelTokenRotationIn,
        query=CompletionConfigQuery,
        gives={200: NewTokenOut},
        refuses=(409,),
        example={"grace_seconds": 3600},
        is_action=True,
    )
    def post(self, call: Call, model_id: UUID) -> Reply:
        """The old token stops after the grace, at once without one."""
        model = _read(call, model_id)
        token = services.rotate_token(
            actor=call.actor, model=model, grace_seconds=call.data["grace_seconds"]
        )
        config = completion_config(model, token=token, flavour=_flavour(call))
        return Reply({"token": token.reveal(), "completion_config": config})


class ModelCompletionConfig(ApiView):
    """``/models/{model_id}/completion-config``."""

    @endpoint(
        "get_completion_config",
        TokenScope.MODELS_READ,
        summary="Read what AIsuru needs to call a model",
        query=CompletionConfigQuery,
        gives={200: CompletionConfigOut},
    )
    def get(self, call: Call, model_id: UUID) -> Reply:
        """Without `apiKey`: the token is shown only where it is made."""
        config = completion_config(_read(call, model_id), flavour=_flavour(call))
        return Reply(config, is_shaped=True)


def _flavour(call: Call) -> Flavour:
    return publications.FLAVOURS[call.query["flavour"]]


def _read(call: Call, model_id: UUID) -> Any:
    """Find a model that is not deleted."""
    organization_id = tenancy.locate(call.principal, RegisteredModel, model_id)
    with scope.tenant(organization_id):
        found = _with_facts(registered.present().filter(pk=model_id))
    if not found:
        raise not_found()
    return found[0]


def _with_facts(rows: Iterable[RegisteredModel]) -> list[Any]:
    """Add status, limit and what is published to models, inside their scope."""
    shown = registered.with_facts(rows)
    published = {
        one.model_id: one
        for one in Publication.objects.filter(model_id__in=[row.pk for row in shown])
    }
    for row in shown:
        row.published = publications.shown(published.get(row.pk), row.pk)
    return shown
