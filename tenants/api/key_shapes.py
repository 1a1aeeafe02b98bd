"""How keys, their verdicts, trials and models look over HTTP; a secret is no part of any."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.api import fields
from tenants.api.endpoint import Out
from tenants.keys import verdicts
from tenants.keys.models import (
    Availability,
    KeyProbe,
    KeyReplacement,
    KeyStatus,
    MistralKey,
    ProbeStatus,
    VerdictCode,
)
from tenants.mistral.errors import Confidence


class EvidenceOut(Out):
    """What Mistral answered."""

    http_status = serializers.IntegerField(allow_null=True, default=None)
    mistral_code = serializers.CharField(allow_null=True, default=None)
    correlation_id = serializers.CharField(allow_null=True, default=None)


class IdentityOut(Out):
    """Whom the key belongs to at Mistral."""

    organization = serializers.CharField(allow_null=True)
    workspace = serializers.CharField(allow_null=True)
    key_name = serializers.CharField(allow_null=True)


class TrialVerdictOut(Out):
    """What a paid trial found."""

    code = serializers.ChoiceField(choices=VerdictCode.choices)
    title = serializers.CharField()
    detail = serializers.CharField()
    next_step = serializers.CharField()
    cause = serializers.CharField(help_text="What exactly was found, finer than the code.")
    confidence = serializers.ChoiceField(
        choices=[one.value for one in Confidence],
        help_text="How well it is established that this is the cause.",
    )
    checked_at = serializers.DateTimeField()
    evidence = EvidenceOut()


class VerdictOut(TrialVerdictOut):
    """The outcome of the last check."""

    identity = IdentityOut(allow_null=True)
    models = serializers.IntegerField()


class ReplacementOut(Out):
    """A secret that waits to replace the present one."""

    last4 = serializers.CharField()
    status = serializers.ChoiceField(choices=KeyStatus.choices)
    expires_on = serializers.DateField(allow_null=True)
    grace_ends_at = serializers.DateTimeField(source="ends_at")
    detail = serializers.SerializerMethodField()
    verdict = serializers.SerializerMethodField()

    def get_detail(self, waiting: KeyReplacement) -> str:
        """Say what it means for calls."""
        return verdicts.of_waiting(waiting)

    @extend_schema_field(VerdictOut(allow_null=True))
    def get_verdict(self, waiting: KeyReplacement) -> Any:
        """Tell the verdict in the reader's language."""
        verdict = verdicts.of(waiting)
        return None if verdict is None else VerdictOut(verdict).data


class ProbeOut(Out):
    """A paid trial of a key: one token, because somebody asked for it."""

    id = serializers.UUIDField(help_text="Also the id of its call in `/calls`.")
    model = serializers.CharField(source="mistral_model")
    status = serializers.ChoiceField(choices=ProbeStatus.choices)
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField(source="created_at")
    finished_at = serializers.DateTimeField(allow_null=True)
    quote = fields.Amount(allow_null=True, help_text="The most it could cost; null: not known.")
    cost = fields.Amount(allow_null=True, help_text="What it did cost; null: nothing known.")
    currency = serializers.CharField()
    prompt_tokens = serializers.IntegerField(allow_null=True)
    completion_tokens = serializers.IntegerField(allow_null=True)
    refusal = serializers.JSONField(
        allow_null=True, help_text="Why it was not sent: which limit stood in the way."
    )
    verdict = serializers.SerializerMethodField()

    @extend_schema_field(TrialVerdictOut(allow_null=True))
    def get_verdict(self, probe: KeyProbe) -> Any:
        """Tell what it found in the reader's language."""
        verdict = verdicts.of_probe(probe)
        return None if verdict is None else TrialVerdictOut(verdict).data


class KeyOut(Out):
    """A Mistral key, without the key."""

    id = serializers.UUIDField()
    workspace_id = serializers.UUIDField()
    name = serializers.CharField()
    last4 = serializers.CharField()
    status = serializers.ChoiceField(choices=KeyStatus.choices)
    expires_on = serializers.DateField(allow_null=True)
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    last_used_at = serializers.DateTimeField(
        allow_null=True, help_text="When it last served a call, to the minute or so."
    )
    verdict = serializers.SerializerMethodField()
    in_use_by = serializers.IntegerField(help_text="How many models use it.")
    replacement = serializers.SerializerMethodField()
    probe = serializers.SerializerMethodField()

    @extend_schema_field(ProbeOut(allow_null=True))
    def get_probe(self, key: Any) -> Any:
        """Tell of the newest paid trial, if there ever was one."""
        newest = next(iter(key.newest_probe), None)
        return None if newest is None else ProbeOut(newest).data

    @extend_schema_field(VerdictOut(allow_null=True))
    def get_verdict(self, key: MistralKey) -> Any:
        """Tell the verdict in the reader's language."""
        verdict = verdicts.of(key)
        return None if verdict is None else VerdictOut(verdict).data

    @extend_schema_field(ReplacementOut(allow_null=True))
    def get_replacement(self, key: MistralKey) -> Any:
        """Tell what waits behind the same id, within its grace."""
        waiting: KeyReplacement | None = getattr(key, "replacement", None)
        return None if waiting is None else ReplacementOut(waiting).data


class CautionOut(Out):
    """Something to know although the request succeeded."""

    code = serializers.CharField()
    detail = serializers.CharField()


class RegisteredKeyOut(KeyOut):
    """A key that was just sent."""

    warnings = CautionOut(many=True)


class SeenModelOut(Out):
    """A model that a key sees at Mistral."""

    id = serializers.CharField(source="mistral_id")
    name = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    kind = serializers.CharField(help_text="`base` or `fine-tuned`.")
    root = serializers.CharField(  # type: ignore[assignment]  # a member, not the property
        help_text="What a fine-tuned model was trained from."
    )
    context_length = serializers.IntegerField(allow_null=True)
    capabilities = serializers.DictField(child=serializers.BooleanField())
    deprecation_at = serializers.DateTimeField(allow_null=True)
    replacement = serializers.CharField()
    availability = serializers.ChoiceField(
        choices=Availability.choices,
        help_text="`archived` and `gone` ones answer no calls; gone ones are listed for 90 days.",
    )
    gone_at = serializers.DateTimeField(allow_null=True)
