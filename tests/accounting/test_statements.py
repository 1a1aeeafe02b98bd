"""Statements: a closed month never changes, and all of them together are the ledger."""

import csv
import hashlib
import io
import json
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection
from django.db.models import Sum
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reportlab.lib.enums import TA_RIGHT
from reportlab.platypus import Paragraph, Table

from tenants.accounting import closing, paper, statements
from tenants.accounting.models import Statement
from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.money import rounded
from tenants.common.months import Month
from tenants.organizations.models import Announcement, Organization
from tenants.spend import corrections, recovery, reports, rollups
from tenants.spend.calls import Category
from tenants.spend.groups import GROUPINGS
from tenants.spend.meter import Meter
from tenants.spend.models import Balance, SpendLine, UsageEvent
from tests import factories
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import intent, settlement

SEPTEMBER, OCTOBER, NOVEMBER = (Month.parse(f"2026-{n}", "Europe/Rome") for n in ("09", "10", "11"))


@pytest.fixture
def meter():
    metered = Meter()
    yield metered
    metered.close()


def at(month, day=10, hour=12):
    return made.id_at(datetime(2026, month, day, hour, tzinfo=UTC))


def spend(meter, organization, workspace, amount, month, **facts):
    call = intent(organization, workspace, call_id=at(month), **facts)
    meter.open_calls([call])
    meter.settle_calls([settlement(call, amount)])
    return call


def document(statement):
    return json.loads(bytes(statement.json))


def rows_of(statement):
    return list(csv.DictReader(io.StringIO(bytes(statement.csv).decode())))


def test_a_statement_says_the_month_in_three_forms(meter, organization, workspace):
    spend(meter, organization, workspace, "0.10", 10)
    spend(meter, organization, workspace, None, 10)
    spend(meter, organization, workspace, "7", 11)
    closed = closing.close(organization, OCTOBER)
    found = document(closed)
    assert (closed.total, closed.adjustments_total, closed.currency) == (
        Decimal("0.10"),
        Decimal(0),
        "EUR",
    )
    assert (found["total"], found["unpriced"], found["month"]) == ("0.10", 1, "2026-10")
    assert [line["workspace"] for line in found["lines"]] == [workspace.name]
    assert found["days"] == [{"day": "2026-10-10", "amount": "0.10"}]
    assert sum(Decimal(row["amount"]) for row in rows_of(closed)) == closed.total
    assert bytes(closed.pdf).startswith(b"%PDF-")
    for form in ("json", "csv", "pdf"):
        kept = bytes(getattr(closed, form))
        assert hashlib.sha256(kept).hexdigest() == getattr(closed, f"{form}_sha256")
    assert statements.as_json(found) == bytes(closed.json)


def test_a_closed_month_stays_what_it_was_and_the_next_states_the_change(
    meter, organization, workspace
):
    spend(meter, organization, workspace, "1", 9)
    first = closing.close(organization, SEPTEMBER)
    spend(meter, organization, workspace, "0.25", 9)
    spend(meter, organization, workspace, "3", 10)
    assert bytes(closing.close(organization, SEPTEMBER).json) == bytes(first.json)
    second = closing.close(organization, OCTOBER)
    (line,) = document(second)["adjustments"]
    assert (line["month"], line["amount"]) == ("2026-09", "0.25")
    assert (second.total, second.adjustments_total) == (Decimal(3), Decimal("0.25"))
    assert document(second)["previous"] == {"month": "2026-09", "sha256": first.json_sha256}
    third = closing.close(organization, NOVEMBER)
    assert document(third)["adjustments"] == []


def test_an_estimate_that_is_corrected_after_the_close_is_in_the_next_statement(
    organization, workspace
):
    dead = Meter()
    call = intent(organization, workspace, "1.00", call_id=at(9))
    dead.open_calls([call])
    made.die(dead)
    recovery.recover_orphans()
    first = closing.close(organization, SEPTEMBER)
    assert (first.total, document(first)["estimated"]) == (Decimal(1), "1.00")
    meter = Meter()
    meter.settle_calls([settlement(call, "0.40")])
    meter.close()
    second = closing.close(organization, OCTOBER)
    assert second.adjustments_total == Decimal("-0.60")


def test_two_workers_at_once_keep_one_statement(organization, workspace, meter):
    spend(meter, organization, workspace, "1", 10)
    found = []

    def work():
        try:
            found.append(closing.close(organization, OCTOBER).json_sha256)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    with scope.tenant(organization.pk):
        assert Statement.objects.count() == 1
        assert Announcement.objects.filter(kind="statement.closed").count() == 1


def test_months_close_in_order_three_days_after_their_end(organization):
    with scope.tenant(organization.pk):
        Organization.objects.update(created_at=SEPTEMBER.starts_at + timedelta(days=3))
    due = NOVEMBER.ends_at + closing.GRACE
    assert closing.close_due_of(organization.pk, due - timedelta(seconds=1)) == 2
    assert closing.close_due_of(organization.pk, due) == 1
    assert closing.close_due_of(organization.pk, due) == 0
    with scope.tenant(organization.pk):
        periods = Statement.objects.order_by("period").values_list("period", flat=True)
        assert [str(one) for one in periods] == ["2026-09-01", "2026-10-01", "2026-11-01"]


def test_nobody_can_change_a_statement(organization):
    closed = closing.close(organization, OCTOBER)
    for change in ("UPDATE accounting_statement SET total = 0", "DELETE FROM accounting_statement"):
        with (
            pytest.raises(DatabaseError, match="permission denied"),
            scope.tenant(organization.pk),
            connection.cursor() as cursor,
        ):
            cursor.execute(change)
    with scope.tenant(organization.pk):
        assert Statement.objects.get().json_sha256 == closed.json_sha256


def test_paper_is_the_same_for_the_same_text_and_takes_any_name(organization):
    with scope.tenant(organization.pk, snapshot=True):
        found = dict(statements.build(organization, OCTOBER, [], OCTOBER.ends_at))
    found["organization"] = {"id": "x", "name": "Ωmega <b>& Łódź 株式会社 \u202e€"}
    papers = {
        language: paper.as_pdf(found, json_sha256="d", language=language)
        for language in ("it", "en")
    }
    assert papers["it"] == paper.as_pdf(found, json_sha256="d", language="it")
    assert papers["it"] != papers["en"]
    assert len(papers["it"]) < 60_000


def words_on_paper(found, language):
    """What a statement says, table by table: rows of cells, and which are at the right."""
    with translation.override(language):
        story = paper._Paper(found, "d")._story("Titolo")
    tables = [one._cellvalues for one in story if isinstance(one, Table)]
    plain = [one.getPlainText() for one in story if isinstance(one, Paragraph)]
    rows = [[[cell.getPlainText() for cell in row] for row in table] for table in tables]
    right = [[cell.style.alignment == TA_RIGHT for cell in table[0]] for table in tables]
    return plain, rows, right


def test_paper_says_names_words_and_amounts_so_that_they_can_be_told_apart(organization):
    with scope.tenant(organization.pk, snapshot=True):
        found = dict(statements.build(organization, OCTOBER, [], OCTOBER.ends_at))
    names = {"1": "مبيعات أوروبا", "2": "Vendite 🚀", "3": "Łódź"}
    found["organization"] = {"id": "4", "name": "株式会社"}
    found["lines"] = [
        {
            "category": category,
            "mistral_model": "m",
            "workspace": names[place],
            "workspace_id": place,
            "quantities": {"requests": 1000},
            "amount": amount,
        }
        for category, place, amount in (
            ("completion", "1", "1.5"),
            ("ocr", "2", "0.00012"),
            ("probe", "3", "2"),
        )
    ]
    found["days"] = [{"day": "2026-10-01", "amount": "3"}, {"day": "2026-10-02", "amount": "0.125"}]
    plain, (facts, lines, days), right = words_on_paper(found, "it")
    assert plain[0] == "4"
    assert lines[0] == ["Categoria", "Modello", "Workspace", "Chiamate", "EUR"]
    assert right[1:] == [[False] * 3 + [True] * 2, [False, True]]
    assert lines[1:] == [
        ["Completion", "m", "1", "1.000", "1,50000"],
        ["OCR", "m", "Vendite (2)", "1.000", "0,00012"],
        ["Prove a pagamento", "m", "Łódz", "1.000", "2,00000"],
    ]
    assert days[1:] == [["1 ottobre 2026", "3,000"], ["2 ottobre 2026", "0,125"]]
    assert facts[1][0] == "Variazioni di mesi precedenti"
    assert facts[-1][1] == "1 novembre 2026, 00:00 (Europe/Rome)"


def test_a_name_is_no_formula_in_a_spreadsheet(meter, organization):
    evil = factories.workspace(organization, "=HYPERLINK(1)")
    spend(meter, organization, evil, "1", 10)
    (row,) = rows_of(closing.close(organization, OCTOBER))
    assert row["workspace"] == "'=HYPERLINK(1)"


def test_a_statement_is_fetched_by_ending_or_by_accept(hers, alice):
    base = f"organizations/{hers.organization.pk}/statements"
    (listed,) = alice.get(base).body["results"]
    for form, media_type in (
        ("json", "application/json"),
        ("csv", "text/csv"),
        ("pdf", "application/pdf"),
    ):
        by_ending = alice.get(f"{base}/2026-10.{form}")
        by_accept = alice.get(f"{base}/2026-10", {"Accept": media_type})
        assert by_ending.raw == by_accept.raw
        assert by_ending.headers["Content-Type"].startswith(media_type)
        digest = hashlib.sha256(by_ending.raw).hexdigest()
        assert (digest, by_ending.headers["ETag"]) == (listed[f"{form}_sha256"], f'"{digest}"')
        assert f"statement-2026-10.{form}" in by_ending.headers["Content-Disposition"]
    assert alice.get(f"{base}/2026-09").code == "not_found"
    assert alice.get(f"{base}/2026-13.pdf").code == "not_found"
    assert alice.get(f"{base}/2026-10", {"Accept": "image/png"}).status == 406


AMOUNTS = st.decimals(0, 5, places=9) | st.none()
CALLS = st.lists(st.tuples(st.sampled_from([9, 10, 11]), st.integers(0, 1), AMOUNTS), max_size=6)
#: Of a month: what is added, and whether half of all that was spent is taken away again.
CHANGES = st.lists(
    st.tuples(
        st.sampled_from([SEPTEMBER, OCTOBER, NOVEMBER]),
        st.integers(0, 1),
        st.decimals(0, 2, places=9) | st.none(),
    ),
    max_size=3,
)


def correct(organization, workspace, month, amount):
    """Add an amount, or take half of what a workspace spent in a month away."""
    with scope.tenant(organization.pk):
        events = UsageEvent.objects.filter(workspace_id=workspace.pk, period=month.first_day)
        spent = sum((event.cost or Decimal(0) for event in events), Decimal(0))
    corrections.post_correction(
        actor=ACTOR,
        organization=organization,
        month=month,
        difference=corrections.Difference(
            workspace.pk,
            Category.COMPLETION,
            "mistral-small-2603",
            rounded(-spent / 2) if amount is None else amount,
            {"prompt_tokens": 7},
        ),
        reason="an invoice",
        reference=str(new_id()),
    )


@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])
@given(before=CALLS, between=CALLS, changes=CHANGES, roll=st.booleans())
def test_events_rollups_reports_csv_and_statements_say_the_same(before, between, changes, roll):
    organization = factories.organization()
    workspaces = [factories.default_workspace(organization), factories.workspace(organization)]
    meter = Meter()
    for month, where, amount in before:
        spend(meter, organization, workspaces[where], amount, month)
    closing.close(organization, SEPTEMBER)
    for month, where, amount in between:
        spend(meter, organization, workspaces[where], amount, month)
    meter.close()
    if roll:
        rollups.roll_up()
    for month, where, amount in changes:
        correct(organization, workspaces[where], month, amount)
    for month in (OCTOBER, NOVEMBER, Month.parse("2026-12", "Europe/Rome")):
        closing.close(organization, month)
    with scope.tenant(organization.pk):
        events = list(UsageEvent.objects.all())
        stated = list(Statement.objects.all())
        lines = SpendLine.objects.aggregate(cost=Sum("cost"), events=Sum("events"))
        balances = Balance.objects.filter(subject_kind="organization").aggregate(
            settled=Sum("settled")
        )
    whole = sum((event.cost or 0 for event in events), Decimal(0))
    assert (lines["cost"] or 0, lines["events"] or 0) == (whole, len(events))
    assert (balances["settled"] or 0) == whole
    assert sum(one.total + one.adjustments_total for one in stated) == whole
    assert sum(Decimal(row["amount"]) for one in stated for row in rows_of(one)) == whole
    requests = sum(int(row["requests"]) for one in stated for row in rows_of(one))
    assert requests == sum(event.requests for event in events)
    total = Decimal(0)
    for month in (SEPTEMBER, OCTOBER, NOVEMBER):
        for names in ((), *((name,) for name in GROUPINGS), tuple(GROUPINGS)):
            report = reports.spend_report(organization=organization, month=month, group_by=names)
            own = [event for event in events if event.period == month.first_day]
            assert report.total == sum((event.cost or 0 for event in own), Decimal(0))
            assert report.unpriced == sum(event.cost is None for event in own)
            header, *written = reports.rows_for_csv(report)
            amounts = [row[header.index("amount")] for row in written]
            if names:
                assert sum(Decimal(amount or 0) for amount in amounts) == report.total
        total += report.total
    assert total == whole
    made.roll_up(organization)
    assert rollups.rebuild(organization.pk).changed == 0
