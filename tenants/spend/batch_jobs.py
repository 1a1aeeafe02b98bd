"""The model of batch jobs: which of Mistral's jobs are still to be metered, and for which call.

It holds no prompt and no answer, and no figures either: those are the hold's and the event's.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tenants.common.models import TenantRow
from tenants.keys.models import MistralKey
from tenants.organizations.models import Workspace
from tenants.registry.models import RegisteredModel


class BatchJob(TenantRow):
    """A batch job at Mistral whose hold stays until its lines are metered, when it is over.

    ``call_id`` is the call that made it: its hold, and the event that will replace it. After
    ``gives_up_at`` what was held becomes an estimate.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey(MistralKey, on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="+")
    call_id = models.UUIDField(unique=True)
    token_id = models.UUIDField()
    mistral_id = models.CharField(max_length=200)
    endpoint = models.CharField(max_length=64)
    requested_model = models.CharField(max_length=200)
    period = models.DateField()
    currency = models.CharField(max_length=3)
    message_id = models.CharField(max_length=200, blank=True)
    is_regional = models.BooleanField(default=False)
    status = models.CharField(max_length=32, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_check_at = models.DateTimeField(null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)
    gives_up_at = models.DateTimeField()
    metered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_check_at"],
                condition=Q(next_check_at__isnull=False),
                name="batch_job_due_idx",
            )
        ]

    def __str__(self) -> str:
        return f"{self.mistral_id} {self.status}"


def under_way(model: RegisteredModel) -> int:
    """Count the batch jobs of a model that Mistral still works on, inside the tenant's scope."""
    waiting = BatchJob.objects.filter(model=model, metered_at=None, next_check_at__isnull=False)
    return waiting.filter(gives_up_at__gt=Now()).count()
