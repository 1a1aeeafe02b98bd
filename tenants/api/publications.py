"""Models in AIsuru over HTTP: have one pushed there, see how it stands, have it taken away."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.aisuru.completion_config import Flavour
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.common import scope
from tenants.registry import failures, publications
from tenants.registry.failures import Failure
from tenants.registry.models import Publication, PublicationStatus, RegisteredModel

FLAVOURS = {flavour.name.lower(): flavour for flavour in Flavour}
FLAVOUR_NAMES = list(FLAVOURS)
UNPUBLISHED = "unpublished"
STATUSES = [UNPUBLISHED, *PublicationStatus.values]


class PublishIn(In):
    """How to publish."""

    flavour = fields.OneOf(
        choices=FLAVOUR_NAMES,
        default="mistral",
        help_text="Which of AIsuru's providers speaks to the gateway.",
    )
    adopt = fields.Flag(
        default=False,
        help_text="Take over a configuration of this name that was not made from here.",
    )


class PublicationFailureOut(Out):
    """What stands in the way."""

    code = serializers.ChoiceField(choices=[one.value for one in Failure])
    cause = serializers.CharField()
    next_step = serializers.CharField()
    result_code = serializers.IntegerField(
        allow_null=True, help_text="AIsuru's own, where it gave one."
    )


class DriftOut(Out):
    """A member of the configuration that is not what was pushed."""

    member = serializers.CharField(help_text="By AIsuru's name.")
    ours = serializers.JSONField(allow_null=True)
    theirs = serializers.JSONField(allow_null=True)


class PublicationOut(Out):
    """How a model stands in AIsuru."""

    model_id = serializers.UUIDField()
    status = serializers.ChoiceField(
        choices=STATUSES,
        help_text=(
            "`pending`: a worker is at it; `changed` and `deleted`: by somebody over there;"
            " `failed`: see `failure`."
        ),
    )
    flavour = serializers.ChoiceField(choices=FLAVOUR_NAMES, allow_null=True)
    completion_config_id = serializers.CharField(
        source="config_id", allow_null=True, help_text="AIsuru's."
    )
    drift = DriftOut(many=True)
    failure = serializers.SerializerMethodField()
    requested_by = serializers.CharField(allow_null=True)
    published_at = serializers.DateTimeField(allow_null=True, help_text="When it was pushed last.")
    checked_at = serializers.DateTimeField(
        allow_null=True, help_text="When AIsuru last told what it has."
    )
    next_attempt_at = serializers.DateTimeField(source="due_at", allow_null=True)

    @extend_schema_field(PublicationFailureOut(allow_null=True))
    def get_failure(self, row: Any) -> dict[str, Any] | None:
        """Say it in the reader's language."""
        failure = row.failure if isinstance(row, Publication) else ""
        if not failure:
            return None
        said = failures.explain(Failure(failure))
        return {
            "code": failure,
            "cause": said.cause,
            "next_step": said.next_step,
            "result_code": row.result_code,
        }


class PublishModel(ApiView):
    """``/models/{model_id}/publish``."""

    @endpoint(
        "publish_model",
        TokenScope.MODELS_WRITE,
        TokenScope.KEYS_USE,
        summary="Publish a model in AIsuru",
        takes=PublishIn,
        gives={202: PublicationOut},
        refuses=(409, 503),
        example={"flavour": "mistral"},
        is_action=True,
    )
    def post(self, call: Call, model_id: UUID) -> Reply:
        """A worker makes or changes the configuration there; from then on it follows the model."""
        model = tenancy.find(call.principal, RegisteredModel, model_id)
        publication = publications.publish_model(
            actor=call.actor,
            model=model,
            flavour=FLAVOURS[call.data["flavour"]],
            adopt=call.data["adopt"],
        )
        address = reverse("publication", kwargs={"model_id": model.pk})
        return Reply(shown(publication, model.pk), 202, address)


class ModelPublication(ApiView):
    """``/models/{model_id}/publication``."""

    @endpoint(
        "get_publication",
        TokenScope.MODELS_READ,
        summary="Read how a model stands in AIsuru",
        gives={200: PublicationOut},
    )
    def get(self, call: Call, model_id: UUID) -> Reply:
        """Of a deleted model, too: until it is gone over there."""
        organization_id = tenancy.locate(call.principal, RegisteredModel, model_id)
        with scope.tenant(organization_id):
            if not RegisteredModel.objects.filter(pk=model_id).exists():
                raise not_found()
            return Reply(shown(Publication.objects.filter(model_id=model_id).first(), model_id))

    @endpoint(
        "withdraw_model",
        TokenScope.MODELS_WRITE,
        summary="Take a model away from AIsuru",
        gives={202: PublicationOut},
    )
    def delete(self, call: Call, model_id: UUID) -> Reply:
        """The token that AIsuru has stops at once; a worker deletes the configuration there."""
        model = tenancy.find(call.principal, RegisteredModel, model_id)
        publication = publications.withdraw_model(
            actor=call.actor, model_id=model.pk, organization_id=model.organization_id
        )
        return Reply(shown(publication, model.pk), 202)


def shown(publication: Publication | None, model_id: UUID) -> Any:
    """Give what the shape of a publication is made from, where there is none as well."""
    if publication is not None:
        publication.config_id = publication.config_id or None  # type: ignore[assignment]  # null outside
        return publication
    none = ("flavour", "config_id", "requested_by", "published_at", "checked_at", "due_at")
    return {"model_id": model_id, "status": UNPUBLISHED, "drift": [], **dict.fromkeys(none)}
