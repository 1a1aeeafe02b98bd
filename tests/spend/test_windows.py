"""Roll-ups add windows of transactions: wherever these are cut, the parts are the whole."""

import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.models import new_id
from tenants.spend import posting, recovery, rollups
from tenants.spend.calls import Estimate, instant_of
from tenants.spend.meter import Meter
from tenants.spend.models import Rollup, SpendLine
from tenants.spend.rows import event_row
from tests import factories
from tests.spend import made
from tests.spend.made import intent, settlement

FIGURES = (
    *("events", "requests", "prompt_tokens", "completion_tokens", "cached_tokens", "pages"),
    *("annotated_pages", "audio_seconds", "characters", "connector_calls", "training_tokens"),
    *("storage_months", "cost"),
)
GRAIN = [
    str(field.column) for field in Rollup._meta.local_fields if field.column not in ("id", *FIGURES)
]
WINDOW = f"SELECT {', '.join(GRAIN)}, {', '.join(FIGURES)} FROM spend_rollup_lines(%s, %s, %s)"


def window(organization, since, before):
    """(line, figure) → what a window of transactions adds to it."""
    found = Counter[Any]()
    for row in made.as_owner(WINDOW, since, before, organization.id):
        for name, amount in zip(FIGURES, row[len(GRAIN) :], strict=True):
            found[row[: len(GRAIN)], name] += amount
    return found


def whole(parts):
    """The sum of windows, without what came to nothing."""
    total = Counter[Any]()
    for part in parts:
        for line, amount in part.items():
            total[line] += amount
    return {line: amount for line, amount in total.items() if amount}


def flagged(part, flag):
    """Count the events of a window that are flagged."""
    place = GRAIN.index(flag)
    return sum(amount for (line, name), amount in part.items() if name == "events" and line[place])


def test_wherever_the_windows_are_cut_the_parts_are_the_whole(meter, organization, workspace):
    minute_ago = timezone.now() - timedelta(minutes=1)
    calls = [
        intent(organization, workspace, worst, call_id=made.id_at(minute_ago))
        for worst in ("1.00", "1.00", None, None)
    ]
    dead = Meter()
    dead.open_calls(calls)
    made.die(dead)
    plain = intent(organization, workspace)
    meter.settle_calls([settlement(plain, "0.10")])
    recovery.recover_orphans_of(organization.id)
    for call, amount, estimate in zip(
        calls, ("0.40", "0.50", "0.60", None), ("", "disconnected", "", ""), strict=True
    ):
        meter.settle_calls([settlement(call, amount, estimate=Estimate(estimate))])
    unpriced = intent(organization, workspace)
    meter.settle_calls([settlement(unpriced, None)])
    price = event_row(settlement(intent(organization, workspace), "0.70")) | {
        "digest": new_id(),
        "occurred_at": instant_of(unpriced.call_id),
        "source": "correction",
        "corrects": unpriced.call_id,
    }
    again = price | {
        "digest": new_id(),
        "id": new_id(),
        "occurred_at": instant_of(calls[0].call_id),
        "corrects": calls[0].call_id,
    }
    with scope.tenant(organization.id):
        posting.post([price, again])
    with scope.tenant(organization.id):
        posting.post([price | {"digest": new_id(), "id": new_id()}])
    cuts = [
        number
        for (number,) in made.as_owner(
            "SELECT DISTINCT transaction_id FROM spend_usageevent WHERE organization_id = %s"
            " ORDER BY 1",
            organization.id,
        )
    ]
    assert len(cuts) == 9
    last = cuts[-1] + 1
    # A rebuild begins at 0 and reads both at once: what is mended, and by what.
    everything = whole([window(organization, 0, last)])
    assert sum(amount for (_line, name), amount in everything.items() if name == "events") == 13
    assert everything == whole([window(organization, 1, last)])
    assert flagged(window(organization, 1, cuts[2]), "is_estimated") == len(calls)
    assert flagged(window(organization, 1, cuts[4]), "is_unpriced") == 2
    for cut in cuts:
        assert everything == whole([window(organization, 1, cut), window(organization, cut, last)])
    steps = zip([1, *cuts], [*cuts, last], strict=True)
    assert everything == whole([window(organization, *step) for step in steps])


def test_it_is_told_how_many_events_were_rolled_up(meter, organization, workspace):
    meter.settle_calls([settlement(intent(organization, workspace))])
    made.roll_up(organization)
    other = factories.workspace(organization)
    calls = [intent(organization, one) for one in (workspace, workspace, other)]
    meter.settle_calls([settlement(call) for call in calls])
    told = 0
    for _ in range(300):
        told += rollups.roll_up() or 0
        if told >= len(calls):
            break
        time.sleep(0.02)
    assert told == len(calls)


def test_outside_a_scope_there_are_no_lines(meter, organization, workspace):
    meter.settle_calls([settlement(intent(organization, workspace), "0.30")])
    connection.close()  # the next one has not been anybody's yet
    assert list(SpendLine.objects.all()) == []
    with scope.tenant(organization.id):
        assert [line.cost for line in SpendLine.objects.all()] == [Decimal("0.30")]
