"""Models that a workspace may call through the gateway, and the tokens that call them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower

from tenants.common.models import TenantRow
from tenants.keys.models import MistralKey
from tenants.organizations.models import Workspace


class Purpose(models.TextChoices):
    """What AIsuru uses a model for."""

    QUESTION_ANSWERING = "question_answering"
    IMPORT_EXPORT = "import_export"
    DEEP_THOUGHT = "deep_thought"


class RegisteredModel(TenantRow):
    """What AIsuru calls a model: a Mistral model behind a key, with defaults and purposes."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey(MistralKey, on_delete=models.PROTECT, related_name="registered_models")
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, blank=True)
    mistral_model = models.CharField(max_length=200)
    # Where the name above led when it was last looked at; empty: never yet.
    snapshot = models.CharField(max_length=200, blank=True, default="", db_default="")
    context_size = models.PositiveIntegerField(null=True, blank=True)
    timeout = models.PositiveIntegerField(null=True, blank=True)
    purposes = ArrayField(models.CharField(max_length=32, choices=Purpose))
    defaults = models.JSONField(default=dict)
    external_id = models.CharField(max_length=200, blank=True)
    visible_to_tenant = models.BooleanField(default=True)
    use_as_default = models.BooleanField(default=False)
    created_by = models.CharField(max_length=254)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                "organization",
                Lower("name"),
                condition=models.Q(retired_at=None),
                name="model_name_uniq",
            )
        ]
        indexes = [
            models.Index(fields=["organization", "workspace", "-id"], name="model_list_idx"),
            models.Index(fields=["organization", "key"], name="model_key_idx"),
        ]

    def __str__(self) -> str:
        return self.name


class ModelToken(TenantRow):
    """A token that calls one model; only its digest is kept."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="tokens")
    digest = models.BinaryField(max_length=32, unique=True)
    hint = models.CharField(max_length=24)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["organization", "model"], name="model_token_idx")]

    def __str__(self) -> str:
        return self.hint


class ResourceKind(models.TextChoices):
    """What can be made at Mistral through a model token, and stays there."""

    FILE = "file"
    BATCH_JOB = "batch_job"
    CONVERSATION = "conversation"
    AGENT = "agent"


class ProviderResource(TenantRow):
    """Something at Mistral that was made through a model token, and belongs to its workspace.

    ``mistral_id`` is Mistral's; ``facts`` hold sizes, models and switches, never contents.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="+")
    token_id = models.UUIDField()
    kind = models.CharField(max_length=16, choices=ResourceKind)
    mistral_id = models.CharField(max_length=200)
    facts = models.JSONField(default=dict)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "kind", "mistral_id"], name="provider_resource_uniq"
            )
        ]
        indexes = [
            models.Index(
                fields=["organization", "workspace", "kind", "-id"], name="provider_resource_idx"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.mistral_id}"


class QuotaRecord(TenantRow):
    """What Mistral has let us know of its limits on one model for one of its workspaces.

    Written by the gateway now and then, never per call. ``windows`` is what answers' headers said
    last: ``[{window, by_size, limit, remaining}]``. ``closed_until`` comes from a refusal.
    ``used`` is what the gateway counted in the minute before ``observed_at``.
    """

    quota_code = models.CharField(max_length=64)
    mistral_model = models.CharField(max_length=200)
    windows = models.JSONField(default=list)
    used = models.JSONField(default=dict)
    calls_of_message = models.FloatField(default=0)
    observed_at = models.DateTimeField()
    closed_until = models.DateTimeField(null=True)
    outside_plan_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "quota_code", "mistral_model"], name="quota_record_uniq"
            )
        ]

    def __str__(self) -> str:
        return f"{self.quota_code} {self.mistral_model}"


class TrafficPolicy(TenantRow):
    """How a workspace wants its calls to be treated when Mistral does not take them at once.

    ``failover`` lets a call go out with another valid key of the workspace, if that belongs to
    another workspace of Mistral's. ``capacity_retries``: how often a call that Mistral's servers
    had no room for is sent again. ``longest_wait``: seconds that a call may wait for its turn.
    """

    workspace = models.OneToOneField(Workspace, on_delete=models.PROTECT, related_name="+")
    failover = models.BooleanField(default=False)
    capacity_retries = models.PositiveSmallIntegerField(default=1)
    longest_wait = models.PositiveSmallIntegerField(default=30)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(capacity_retries__lte=3, longest_wait__lte=120),
                name="traffic_policy_bounds",
            )
        ]

    def __str__(self) -> str:
        return f"failover {self.failover}"
