"""A month against Mistral's own bill: the same to the unit, or explained, and posted on a word."""

import io
import json
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tenants.accounting import reconciliations
from tenants.accounting.models import FigureSource, Reconciliation
from tenants.accounting.reconciling import carry
from tenants.common import scope
from tenants.common.months import Month
from tenants.common.problems import Conflict, Invalid
from tenants.organizations import walking
from tenants.organizations.models import Announcement, AuditEvent
from tenants.spend import pricebook, reports
from tenants.spend.calls import instant_of, period_of
from tenants.spend.meter import Meter
from tenants.spend.models import UsageEvent
from tenants.spend.pricing import Quantities, cost
from tests.accounting.conftest import registered
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import intent, settlement

OCTOBER = Month.parse("2026-10", "Europe/Rome")
MODEL = "mistral-small-2603"


@pytest.fixture
def meter():
    metered = Meter()
    yield metered
    metered.close()


@pytest.fixture
def both(meter, organization, workspace, simulator):
    """Let a call pass here and be on Mistral's bill; ``here`` or ``there`` alone if asked."""
    key = simulator.state.key("valid")
    simulator.state.ledger.today = lambda: date(2026, 10, 10)

    def call(prompt=1000, cached=0, completion=100, *, at=None, here=True, there=True):
        instant = at or datetime(2026, 10, 10, 12, tzinfo=UTC)
        if there:
            line = simulator.state.ledger.line(
                key="valid",
                organization=key.organization.id,
                workspace=key.workspace.id,
                model=MODEL,
                service_tier="standard",
            )
            line.prompt_tokens += prompt
            line.cached_tokens += cached
            line.completion_tokens += completion
        if here:
            call_id = made.id_at(instant)
            quantities = Quantities(prompt, completion, cached)
            known = pricebook.prices_for(MODEL, "EUR", instant_of(call_id))
            opened = replace(
                intent(organization, workspace, call_id=call_id),
                period=period_of(call_id, organization.timezone),
            )
            meter.open_calls([opened])
            settled = settlement(opened, "0", quantities=quantities, answered_model=MODEL)
            meter.settle_calls([replace(settled, cost=cost(quantities, known))])

    return call


@pytest.fixture
def reconciled(organization, admin_key):
    def ask(month=OCTOBER):
        row = reconciliations.request_reconciliation(
            actor=ACTOR,
            organization=organization,
            month=month,
            source=FigureSource.MISTRAL_ADMIN_API,
        )
        carry(organization.pk, row.pk)
        return read(row)

    return ask


def read(row):
    with scope.tenant(row.organization_id):
        return Reconciliation.objects.get(pk=row.pk)


def reasons(row):
    return {
        reason["code"]: Decimal(reason["amount"])
        for line in row.lines
        for reason in line["reasons"]
    }


def announced(organization):
    with scope.tenant(organization.pk):
        return list(Announcement.objects.filter(kind="key.used_elsewhere"))


def balances_are_sums(organization):
    return made.ledger(organization) == {
        subject: figures
        for subject, figures in made.recount(organization).items()
        if subject in made.ledger(organization)
    }


def test_what_passed_here_only_is_mistrals_bill_to_the_unit(both, reconciled):
    for _ in range(3):
        both(cached=64)
    row = reconciled()
    assert (row.status, row.totals["difference"], row.failure) == ("open", "0.00", "")
    (line,) = row.lines
    assert (line["mistral_model"], line["ours"]) == (MODEL, line["theirs"])


def test_a_key_that_is_used_elsewhere_is_an_alert_and_a_correction_on_a_word(
    organization, workspace, both, reconciled, sync
):
    registered(workspace, "valid")
    sync(is_dry=False)
    both()
    both(prompt=5000, completion=500, here=False)
    row = reconciled()
    assert set(reasons(row)) == {"unmetered_use"}
    assert row.lines[0]["workspace_id"] == str(workspace.pk)
    (alert,) = announced(organization)
    assert (alert.workspace_id, alert.data["month"]) == (workspace.pk, "2026-10")
    reconciled()
    assert len(announced(organization)) == 1

    before = reports.spend_report(organization=organization, month=OCTOBER).total
    confirmed = reconciliations.confirm_reconciliation(actor=ACTOR, reconciliation=row)
    difference = Decimal(row.totals["difference"])
    after = reports.spend_report(organization=organization, month=OCTOBER)
    assert after.total == before + difference
    with scope.tenant(organization.pk):
        (event,) = UsageEvent.objects.filter(message_id=f"reconciliation:{row.pk}")
        assert AuditEvent.objects.filter(verb="reconciliation.confirmed").count() == 1
    assert (event.source, event.cost, event.prompt_tokens) == ("correction", difference, 5000)
    assert confirmed.posted == [str(event.id)]
    assert instant_of(event.id) == event.occurred_at
    assert balances_are_sums(organization)
    assert reconciled().totals["difference"] == "0.00"


def test_confirming_twice_or_at_once_posts_once(organization, both, reconciled):
    both(here=False)
    row = reconciled()
    outcomes = []

    def confirm():
        try:
            reconciliations.confirm_reconciliation(actor=ACTOR, reconciliation=read(row))
            outcomes.append("posted")
        except Conflict as conflict:
            outcomes.append(conflict.code)
        finally:
            connection.close()

    workers = [threading.Thread(target=confirm) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert outcomes.count("posted") == 1
    assert reports.spend_report(organization=organization, month=OCTOBER).total == Decimal(
        row.totals["theirs"]
    )


def test_a_comparison_that_the_ledger_overtook_is_not_confirmed(organization, both, reconciled):
    both(here=False)
    row = reconciled()
    both(there=False)
    before = made.events(organization)
    with pytest.raises(Conflict) as caught:
        reconciliations.confirm_reconciliation(actor=ACTOR, reconciliation=row)
    assert caught.value.code == "reconciliation_outdated"
    assert made.events(organization) == before
    assert read(row).status == "open"


def test_only_the_lines_named_are_posted(organization, both, reconciled):
    both(here=False)
    row = reconciled()
    with pytest.raises(Invalid):
        reconciliations.confirm_reconciliation(actor=ACTOR, reconciliation=row, lines=[7])
    confirmed = reconciliations.confirm_reconciliation(actor=ACTOR, reconciliation=row, lines=[])
    assert (confirmed.status, confirmed.posted) == ("confirmed", [])


def test_a_contracts_discount_is_a_price_rule(both, reconciled, simulator):
    both()
    simulator.state.admin.price_factor = Decimal("0.8")
    row = reconciled()
    assert set(reasons(row)) == {"price_rule"}
    assert Decimal(row.totals["difference"]) == -Decimal(row.totals["ours"]) * Decimal("0.2")


def test_what_is_taken_away_lies_where_the_spend_is(organization, both, reconciled):
    both()
    both(prompt=3000, there=False)
    row = reconciled()
    assert set(reasons(row)) == {"not_billed"}
    reconciliations.confirm_reconciliation(actor=ACTOR, reconciliation=row)
    assert balances_are_sums(organization)
    assert reconciled().totals["difference"] == "0.00"


def test_the_hours_between_the_two_months_are_an_edge_and_no_difference(
    organization, both, reconciled, simulator
):
    both()
    # 1 November in Rome, 31 October for Mistral; and 1 October in Rome, 30 September for it.
    both(at=datetime(2026, 10, 31, 23, 30, tzinfo=UTC))
    both(at=datetime(2026, 9, 30, 22, 30, tzinfo=UTC), there=False)
    row = reconciled()
    assert row.totals["difference"] == "0.00"
    assert Decimal(row.totals["our_month"]) + Decimal(row.totals["timezone_edge"]) == Decimal(
        row.totals["ours"]
    )
    assert row.totals["timezone_edge"] == "0.00"  # one in, one of the same out


def test_mistral_away_is_waited_for_and_a_refused_key_is_not(
    organization, admin_key, simulator, reconciled
):
    simulator.state.change("admin", behaviour={"sequence": ["service_unavailable"]})
    row = reconciled()
    assert (row.status, row.attempts) == ("pending", 1)
    carry(organization.pk, row.pk)
    assert read(row).status == "open"
    simulator.state.forget("admin")
    assert reconciled().failure == "admin_key_refused"


def test_another_currency_is_not_converted(organization, admin_key, reconciled):
    with scope.tenant(organization.pk):
        type(organization).objects.update(currency="USD")
        organization.refresh_from_db()
    row = reconciled()
    assert (row.status, row.failure) == ("failed", "currency_differs")


def test_the_command_compares_whoever_has_an_admin_key(organization, both, admin_key):
    both()
    written = io.StringIO()
    call_command(
        "reconcile", "--month", "2026-10", "--organization", str(organization.pk), stdout=written
    )
    assert f"{organization.pk}" in written.getvalue()
    assert "difference 0.00 EUR" in written.getvalue()


@pytest.mark.parametrize("month", ["banana", "2026-13", "2026-1"])
def test_the_command_refuses_what_is_no_month_even_where_there_is_nothing_to_compare(month):
    with pytest.raises(CommandError, match="month"):
        call_command("reconcile", "--month", month)


def test_the_command_says_when_there_is_nothing_to_compare(organization, monkeypatch):
    monkeypatch.setattr(walking, "organization_ids", lambda: [organization.pk])
    written = io.StringIO()
    call_command("reconcile", "--month", "2026-10", stdout=written)
    assert written.getvalue().startswith("Nothing to compare")


def test_typed_figures_are_compared_at_once_and_say_nothing_of_what_they_do_not_name(
    hers, alice, meter
):
    call = intent(
        hers.organization, hers.workspace, call_id=made.id_at(datetime(2026, 10, 3, tzinfo=UTC))
    )
    meter.open_calls([call])
    meter.settle_calls([settlement(call, "0.40")])
    path = f"organizations/{hers.organization.pk}/reconciliations"
    typed = [{"category": "ocr", "amount": "2.50"}]
    made_one = alice.post(path, {"month": "2026-10", "source": "manual", "figures": typed})
    assert made_one.status == 201
    (line,) = made_one.body["lines"]
    assert (line["category"], line["difference"]) == ("ocr", "2.50")
    assert line["reasons"][0]["code"] == "unmetered_use"
    assert line["reasons"][0]["detail"]
    again = alice.get(made_one.headers["Location"])
    assert again.body == made_one.body
    assert alice.get(path).body["results"][0]["id"] == made_one.body["id"]
    confirmed = alice.post(f"{path}/{made_one.body['id']}/confirm", {})
    assert (confirmed.status, confirmed.body["status"]) == (200, "confirmed")
    posted = alice.get(f"calls?message_id=reconciliation:{made_one.body['id']}").body["results"]
    assert [one["cost"] for one in posted] == ["2.50"]
    assert alice.post(f"{path}/{made_one.body['id']}/confirm", {}).code == "reconciliation_not_open"


def test_tokens_of_aisuru_are_compared_without_a_cost(hers, alice):
    path = f"organizations/{hers.organization.pk}/reconciliations"
    told = [{"model": "mistral-small-latest", "prompt_tokens": 7, "completion_tokens": 3}]
    found = alice.post(path, {"month": "2026-10", "source": "aisuru", "figures": told}).body
    (line,) = found["lines"]
    assert (line["theirs"], line["difference"]) == (None, None)
    assert line["quantities"]["input"] == {"ours": "0", "theirs": "7"}
    assert json.dumps(found["totals"]["difference"]) == '"0.00"'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"source": "manual"}, "figures_required"),
        ({"source": "mistral_admin_api", "figures": [{"amount": "1"}]}, "figures_not_taken"),
        ({"source": "manual", "figures": [{"category": "ocr"}]}, "amount_required"),
        ({"source": "manual", "month": "2199-01", "figures": [{"amount": "1"}]}, "month_invalid"),
        ({"source": "guess", "figures": [{"amount": "1"}]}, "validation_failed"),
    ],
)
def test_what_cannot_be_compared_is_refused(hers, alice, body, code):
    path = f"organizations/{hers.organization.pk}/reconciliations"
    before = len(alice.get(path).body["results"])
    assert alice.post(path, {"month": "2026-10"} | body).code == code
    assert len(alice.get(path).body["results"]) == before


def test_a_workspace_of_somebody_else_is_unknown(hers, alice, stranger):
    path = f"organizations/{hers.organization.pk}/reconciliations"
    figures = [{"workspace_id": str(stranger.pk), "amount": "1"}]
    body = {"month": "2026-10", "source": "manual", "figures": figures}
    assert alice.post(path, body).code == "workspace_unknown"


def test_without_a_sync_before_the_whole_organization_is_compared(both, reconciled):
    both()
    assert reconciled().lines[0]["workspace_id"] is None
