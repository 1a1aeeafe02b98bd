"""What spend is reported from: sums of events by local day, and what is not yet among them."""

from django.db import models

from tenants.common.money import DECIMAL_PLACES
from tenants.organizations.models import Organization


class _Line(models.Model):
    """The sum of the events that agree in everything but their quantities.

    ``day`` is of the zone that the organization had then, and lies within ``period``. An event
    counts as estimated, or as unpriced, until a correction says better. ``cost`` lacks what has no
    price; ``events`` counts calls and corrections, ``requests`` what reached Mistral.
    """

    organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    period = models.DateField()
    day = models.DateField()
    workspace_id = models.UUIDField()
    key_id = models.UUIDField(null=True)
    model_id = models.UUIDField(null=True)
    mistral_model = models.CharField(max_length=200)
    category = models.CharField(max_length=16)
    source = models.CharField(max_length=20)
    is_estimated = models.BooleanField()
    is_unpriced = models.BooleanField()
    events = models.BigIntegerField()
    requests = models.BigIntegerField()
    prompt_tokens = models.BigIntegerField()
    completion_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    pages = models.BigIntegerField()
    annotated_pages = models.BigIntegerField()
    audio_seconds = models.BigIntegerField()
    characters = models.BigIntegerField()
    connector_calls = models.BigIntegerField()
    training_tokens = models.BigIntegerField()
    storage_months = models.BigIntegerField()
    cost = models.DecimalField(max_digits=28, decimal_places=DECIMAL_PLACES)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.day} {self.mistral_model}: {self.cost}"


class Rollup(_Line):
    """A line as far as it was rolled up; kept for ever, also when the events are gone."""

    id = models.BigAutoField(primary_key=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "organization",
                    "period",
                    "day",
                    "workspace_id",
                    "key_id",
                    "model_id",
                    "mistral_model",
                    "category",
                    "source",
                    "is_estimated",
                    "is_unpriced",
                ],
                name="rollup_line_uniq",
                nulls_distinct=False,
            )
        ]


class SpendLine(_Line):
    """What reports read: the roll-ups and, in lines of their own, what is not yet in them.

    A view: sums over it are as fresh as the ledger, in one statement or in one snapshot.
    """

    id = models.BigIntegerField(primary_key=True)

    class Meta:
        managed = False
        db_table = "spend_line"


class RollupMark(models.Model):
    """Up to which transaction the roll-ups have everything; one row."""

    id = models.SmallIntegerField(primary_key=True)
    transaction_id = models.BigIntegerField()
    rolled_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="rollup_mark_single")]

    def __str__(self) -> str:
        return f"rolled up to {self.transaction_id}"


class Watermark(models.Model):
    """How far a piece of upkeep has read the ledger; of no tenant, reached by functions only."""

    name = models.CharField(max_length=32, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.at}"
