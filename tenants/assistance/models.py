"""Grants of customers, sessions of the support staff in an organization, and what staff are."""

from datetime import datetime

from django.contrib.auth.models import Group
from django.db import models

from tenants.common.models import Row, TenantRow
from tenants.common.money import DECIMAL_PLACES, MAX_DIGITS
from tenants.organizations.models import Workspace
from tenants.people.models import Person


class StaffMember(Row):
    """That somebody has a role on the support staff: one, by group."""

    person = models.OneToOneField(Person, on_delete=models.PROTECT, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"{self.person_id}: {self.group_id}"


class SupportGrant(TenantRow):
    """That an organization lets the support staff in until an instant."""

    granted_by = models.CharField(max_length=254)
    reason = models.CharField(max_length=500, blank=True)
    allows_changes = models.BooleanField(default=False)
    ends_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.granted_by} until {self.ends_at:%Y-%m-%d %H:%M}"

    def is_open(self, at: datetime) -> bool:
        """Tell whether it holds at an instant."""
        return self.withdrawn_at is None and at < self.ends_at


class SupportSession(TenantRow):
    """A stay of one person of the staff in an organization; it starts when it is made.

    ``granted_by`` is empty when nobody in the organization let them in: it was broken open, and the
    organization was told.
    """

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    person_name = models.CharField(max_length=254)
    grant = models.ForeignKey(SupportGrant, on_delete=models.PROTECT, null=True, related_name="+")
    granted_by = models.CharField(max_length=254, blank=True)
    reason = models.CharField(max_length=500)
    ticket = models.CharField(max_length=64, blank=True)
    is_elevated = models.BooleanField(default=False)
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "person"],
                condition=models.Q(ended_at=None),
                name="support_session_open_uniq",
            )
        ]
        indexes = [
            models.Index(
                fields=["person"],
                condition=models.Q(ended_at=None),
                name="support_session_person_idx",
            )
        ]

    def __str__(self) -> str:
        return f"{self.person_name} until {self.ends_at:%Y-%m-%d %H:%M}"

    @property
    def is_broken_open(self) -> bool:
        """Tell whether nobody of the organization let them in."""
        return not self.granted_by


class CorrectionStatus(models.TextChoices):
    """What became of a correction that somebody of the staff asked for."""

    WAITING = "waiting"
    POSTED = "posted"
    REFUSED = "refused"


class CorrectionRequest(TenantRow):
    """A correction of the ledger that somebody of the staff asked for.

    Above an amount it waits until another person confirms it, and expires by itself. What was asked
    for cannot be changed afterwards, by privilege; nobody confirms their own, by constraint.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")
    period = models.DateField()
    category = models.CharField(max_length=16)
    mistral_model = models.CharField(max_length=200, blank=True)
    amount = models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES)
    currency = models.CharField(max_length=3)
    corrects = models.UUIDField(null=True)
    reason = models.CharField(max_length=500)
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    asked_by_name = models.CharField(max_length=254)
    needs_second = models.BooleanField()
    expires_at = models.DateTimeField()
    status = models.CharField(
        max_length=8, choices=CorrectionStatus, default=CorrectionStatus.WAITING
    )
    decided_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    decided_by_name = models.CharField(max_length=254, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(status=CorrectionStatus.POSTED)
                | models.Q(needs_second=False)
                | (models.Q(decided_by__isnull=False) & ~models.Q(decided_by=models.F("asked_by"))),
                name="correction_four_eyes",
            )
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=models.Q(status=CorrectionStatus.WAITING),
                name="correction_waiting_idx",
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} {self.status}"

    def is_waiting(self, at: datetime) -> bool:
        """Tell whether it can still be confirmed at an instant."""
        return self.status == CorrectionStatus.WAITING and at < self.expires_at


class ResetStatus(models.TextChoices):
    """What became of a reset of second factors that somebody of the staff asked for."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


class FactorReset(TenantRow):
    """That a person's second factors are to be forgotten, as they say that all of them are lost.

    It waits for a day, in which they may object, and for another person of the staff; then it
    expires by itself. Nobody confirms their own, by constraint.
    """

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    asked_by_name = models.CharField(max_length=254)
    ready_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    status = models.CharField(max_length=8, choices=ResetStatus, default=ResetStatus.WAITING)
    decided_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    decided_by_name = models.CharField(max_length=254, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(status=ResetStatus.DONE)
                | (models.Q(decided_by__isnull=False) & ~models.Q(decided_by=models.F("asked_by"))),
                name="factor_reset_four_eyes",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=ResetStatus.DONE)
                | models.Q(decided_at__gte=models.F("ready_at")),
                name="factor_reset_waits",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=models.Q(status=ResetStatus.WAITING),
                name="factor_reset_waiting_idx",
            )
        ]

    def __str__(self) -> str:
        return f"{self.person_id} {self.status}"

    def is_waiting(self, at: datetime) -> bool:
        """Tell whether it can still be confirmed at an instant."""
        return self.status == ResetStatus.WAITING and at < self.expires_at


class SavedFilter(Row):
    """A choice of filters that somebody of the staff gave a name; of no tenant.

    ``choice`` holds words of the list's own menus only, never what somebody typed.
    """

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    page = models.CharField(max_length=32)
    name = models.CharField(max_length=60)
    choice = models.JSONField()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["person", "page", "name"], name="saved_filter_uniq")
        ]

    def __str__(self) -> str:
        return self.name


class PlatformEvent(Row):
    """What the staff did outside of any organization: look-ups, roles. Append-only, by privilege.

    ``detail`` never holds what was typed when that may be a secret.
    """

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    person_name = models.CharField(max_length=254)
    verb = models.CharField(max_length=64)
    detail = models.CharField(max_length=200, blank=True)
    found = models.PositiveIntegerField(default=0)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.person_name} {self.verb}"


class WorkerSeen(models.Model):
    """A worker, and when it last finished a task; of no tenant.

    ``name`` is Celery's, as in ``celery@host``.
    """

    name = models.CharField(max_length=200, primary_key=True)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RepeatedTask(models.Model):
    """A message for the workers that was delivered again, or that no worker can do; of no tenant.

    Most are delivered again because their worker died, and are done then. One that is ``parked``
    was taken out of the queue. ``arguments`` are ids; empty where they could be anything.
    """

    message = models.CharField(max_length=80, primary_key=True)
    task = models.CharField(max_length=100)
    arguments = models.CharField(max_length=200, blank=True)
    deliveries = models.PositiveIntegerField()
    reason = models.CharField(max_length=12, blank=True)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-seen_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reason__in=["", "repeated", "unknown", "malformed"]),
                name="repeated_task_reason",
            )
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.reason}"


class Chore(models.Model):
    """Work that comes back: when it was last done, how often it has failed since; of no tenant.

    Tasks have a row once they have failed, backups once one was made.
    """

    name = models.CharField(max_length=100, primary_key=True)
    done_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0, db_default=0)
    failed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
