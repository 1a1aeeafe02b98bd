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
            ),
            models.UniqueConstraint(
                fields=["organization"],
                condition=models.Q(use_as_default=True, retired_at=None),
                name="model_default_uniq",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "workspace", "-id"], name="model_list_idx"),
            models.Index(fields=["organization", "key"], name="model_key_idx"),
        ]

    def __str__(self) -> str:
        return self.name


class ModelToken(TenantRow):
    """A token that calls one model; only its digest is kept.

    ``is_published``: made for AIsuru when the model was pushed there, and shown to nobody.
    """

    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="tokens")
    is_published = models.BooleanField(default=False, db_default=False)
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

    Somebody may have what refusals taught forgotten, at ``reset_at``; ``saved_after`` is the last
    such instant that the process knew which saved the row. Where it differs, what it says of
    refusals is older than the wish.
    """

    quota_code = models.CharField(max_length=64)
    mistral_model = models.CharField(max_length=200)
    windows = models.JSONField(default=list)
    used = models.JSONField(default=dict)
    calls_of_message = models.FloatField(default=0)
    observed_at = models.DateTimeField()
    closed_until = models.DateTimeField(null=True)
    outside_plan_until = models.DateTimeField(null=True)
    reset_at = models.DateTimeField(null=True)
    saved_after = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "quota_code", "mistral_model"], name="quota_record_uniq"
            )
        ]

    def __str__(self) -> str:
        return f"{self.quota_code} {self.mistral_model}"


class OnDisconnect(models.TextChoices):
    """What becomes of a stream whose caller has left."""

    DRAIN = "drain"  # read on for a bounded time, to what it cost
    ABORT = "abort"  # break it off at once; what it cost is estimated


class ForeignParameters(models.TextChoices):
    """What is done with parameters of other providers, unless a request says otherwise."""

    ADAPT = "adapt"  # rename, and leave out what changes no answer
    REFUSE = "refuse"  # refuse with 422, naming each
    LEAVE = "pass"  # let Mistral judge


class NewEndpoints(models.TextChoices):
    """What is done with endpoints of Mistral's that this service does not know."""

    REFUSE = "refuse"  # they do not exist: nobody has priced them
    LEAVE = "pass"  # a JSON question that names the model passes, and is flagged as unpriced


class TrafficPolicy(TenantRow):
    """How a workspace wants its calls to be treated where there is a choice.

    ``failover`` lets a call go out with another valid key of the workspace, if that belongs to
    another workspace of Mistral's. ``capacity_retries``: how often a call that Mistral's servers
    had no room for is sent again. ``longest_wait``: seconds that a call may wait for its turn.
    """

    workspace = models.OneToOneField(Workspace, on_delete=models.PROTECT, related_name="+")
    failover = models.BooleanField(default=False)
    capacity_retries = models.PositiveSmallIntegerField(default=1)
    longest_wait = models.PositiveSmallIntegerField(default=30)
    on_disconnect = models.CharField(max_length=8, choices=OnDisconnect, default=OnDisconnect.DRAIN)
    parameters = models.CharField(
        max_length=8, choices=ForeignParameters, default=ForeignParameters.ADAPT
    )
    new_endpoints = models.CharField(
        max_length=8, choices=NewEndpoints, default=NewEndpoints.REFUSE, db_default="refuse"
    )
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


class ConnectionStatus(models.TextChoices):
    """What is known of AIsuru's login token."""

    PENDING = "pending"  # nothing was done with it yet
    VALID = "valid"
    REFUSED = "refused"
    UNDECRYPTABLE = "undecryptable"


class AisuruConnection(TenantRow):
    """How an organization's models are published in AIsuru: a login there, its token sealed.

    ``tenant`` is AIsuru's name of the tenant; empty: the organization's own ``aisuru_tenant``.
    """

    tenant = models.CharField(max_length=253, blank=True)
    sealed = models.BinaryField()
    secret_version = models.PositiveIntegerField()
    data_key_version = models.PositiveIntegerField()
    status = models.CharField(
        max_length=16, choices=ConnectionStatus, default=ConnectionStatus.PENDING
    )
    checked_at = models.DateTimeField(null=True)
    secret_at = models.DateTimeField()
    created_by = models.CharField(max_length=254)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization"], name="aisuru_connection_uniq")
        ]

    def __str__(self) -> str:
        return self.status


class PublicationStatus(models.TextChoices):
    """How a model stands in AIsuru."""

    PENDING = "pending"  # a worker is about to push it, or tries again
    PUBLISHED = "published"  # AIsuru has it as it was pushed, when it was last looked at
    CHANGED = "changed"  # somebody changed it over there
    DELETED = "deleted"  # somebody deleted it over there
    FAILED = "failed"  # it was given up; a person has to do something
    WITHDRAWN = "withdrawn"  # it was taken away from there


class Publication(TenantRow):
    """A model in AIsuru: what is wanted there, what is known to be there, and what is still to do.

    ``wanted`` counts wishes, ``done`` is the last one fulfilled. ``pushed`` is what AIsuru said it
    had after the last push, by its own names; what differs from it later is ``drift``.
    ``creating``: the name under which a creation was sent whose answer is not known (yet).
    ``due_at`` is null when there is nothing to do. ``held_until`` keeps others away: with a
    ``claim`` a worker has it, without one it waits in the queue.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")
    model = models.OneToOneField(
        RegisteredModel, on_delete=models.PROTECT, related_name="publication"
    )
    flavour = models.CharField(max_length=16)
    is_wanted = models.BooleanField(default=True)
    may_create = models.BooleanField(default=True)
    may_adopt = models.BooleanField(default=False)
    wanted = models.PositiveIntegerField(default=1)
    done = models.PositiveIntegerField(default=0)
    status = models.CharField(
        max_length=16, choices=PublicationStatus, default=PublicationStatus.PENDING
    )
    config_id = models.CharField(max_length=500, blank=True)
    pushed = models.JSONField(default=dict)
    drift = models.JSONField(default=list)
    failure = models.CharField(max_length=40, blank=True)
    result_code = models.IntegerField(null=True)
    requested_by = models.CharField(max_length=254)
    published_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    creating = models.CharField(max_length=120, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    claim = models.UUIDField(null=True)
    held_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "config_id"],
                condition=~models.Q(config_id=""),
                name="publication_config_uniq",
            )
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(due_at__isnull=False),
                name="publication_due_idx",
            )
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.config_id}"
