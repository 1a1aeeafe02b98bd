"""Learns how long answers of a model usually are, so that holds are tight where nobody set a cap.

What is learned is the 99th percentile of the last thirty days of one organization's exact calls of
one Mistral model. Where fewer calls are known nothing is learned, and the default stays.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import connection
from django.utils import timezone

from tenants.common import scope, turns
from tenants.common.turns import Turn
from tenants.organizations import walking
from tenants.registry import catalog
from tenants.spend.calls import Category, Estimate, Outcome
from tenants.spend.models import LearnedOutput

log = structlog.get_logger(__name__)

LOOKS_BACK = timedelta(days=30)
FEWEST_CALLS = 200
#: Shorter than this no hold is made: one unusual answer costs more than the difference.
SHORTEST = 64
_QUERY = """
    SELECT coalesce(nullif(answered_model, ''), requested_model), count(*),
           percentile_disc(0.99) WITHIN GROUP (ORDER BY completion_tokens)
    FROM spend_usageevent
    WHERE organization_id = %s AND occurred_at >= %s AND category = %s
      AND outcome = %s AND estimate = %s AND completion_tokens > 0
    GROUP BY 1 HAVING count(*) >= %s
"""


@dataclass(frozen=True, slots=True)
class Usual:
    """How long the answers of a model usually are: tokens, of how many calls, learned when."""

    mistral_model: str
    tokens: int
    calls: int
    learned_at: datetime


def learn_outputs(turn: Turn | None = None) -> int:
    """Learn for every organization; tell how many figures there are now.

    Args:
        turn: learn for those only for which it has time; None: for all.
    """
    learned = sum(turns.each(walking.organization_ids(turn), learn_of, turn))
    log.info("outputs_learned", count=learned)
    return learned


def learn_of(organization_id: UUID) -> int:
    """Learn one organization's figures; what is learned again takes the place of the old."""
    now = timezone.now()
    with scope.tenant(organization_id):
        with connection.cursor() as cursor:
            values = (now - LOOKS_BACK, Category.COMPLETION, Outcome.COMPLETED, Estimate.EXACT)
            cursor.execute(_QUERY, [organization_id, *values, FEWEST_CALLS])
            rows = cursor.fetchall()
        found = {
            catalog.canonical(model): LearnedOutput(
                organization_id=organization_id,
                mistral_model=catalog.canonical(model),
                tokens=max(int(tokens), SHORTEST),
                calls=calls,
                learned_at=now,
            )
            for model, calls, tokens in sorted(rows, key=lambda row: row[1])
        }
        LearnedOutput.objects.bulk_create(
            found.values(),
            update_conflicts=True,
            unique_fields=["organization", "mistral_model"],
            update_fields=["tokens", "calls", "learned_at"],
        )
    return len(found)


def learned(organization_id: UUID) -> list[Usual]:
    """List what was learned for an organization."""
    with scope.tenant(organization_id):
        return [
            Usual(row.mistral_model, row.tokens, row.calls, row.learned_at)
            for row in LearnedOutput.objects.order_by("mistral_model")
        ]
