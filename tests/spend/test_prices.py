"""The price list and the price book: what is loaded, from when it holds, and how it is found."""

import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection
from django.utils import timezone

from tenants.spend import pricebook, pricelist, services
from tenants.spend.models import Price
from tenants.spend.pricing import Meter, Quantities, cost

AS_OF = datetime(2026, 8, 21, tzinfo=UTC)
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def entry(side, unit, usd, eur=None):
    return {"side": side, "unit": unit, "usd": usd, "eur": eur, "origin": "docs"}


def listing(tmp_path, *entries, name=None, free=False, twice=()):
    """Write a list of one model (or one model twice) and read it."""
    name = name or f"model-{uuid4()}"
    rows = [
        {"id": name, "source": "card.ts", "price": {"free": free, "entries": list(found)}}
        for found in (entries, twice)
        if found or free
    ]
    document = {
        "meta": {"as_of": "2026-08-21"},
        "models": rows,
        "deprecated_past_retirement_date": [],
    }
    path = tmp_path / f"{uuid4()}.json"
    path.write_text(json.dumps(document))
    return name, path


def load(path, at=NOW):
    return services.import_price_list(listed=pricelist.read(path), at=at)


def test_the_published_list_is_loaded_and_priced_in_the_organizations_own_currency():
    found = pricebook.prices_for("mistral-small-latest", "EUR", NOW)
    assert found.mistral_model == "mistral-small-2603"
    assert {meter: (price.amount, price.per) for meter, price in found.meters.items()} == {
        Meter.INPUT: (Decimal("0.12"), 1_000_000),
        Meter.CACHED_INPUT: (Decimal("0.012"), 1_000_000),
        Meter.OUTPUT: (Decimal("0.5"), 1_000_000),
    }
    dollars = pricebook.prices_for("mistral-small-2603", "USD", NOW)
    assert dollars.meters[Meter.OUTPUT].amount == Decimal("0.6")


@pytest.mark.parametrize(
    ("model", "currency", "used", "expected"),
    [
        ("mistral-medium-latest", "EUR", Quantities(1000, 1000), "0.00765"),
        ("mistral-large-2512", "USD", Quantities(1000, 1000), "0.002"),
        ("codestral-embed", "EUR", Quantities(1000), "0.00015"),
        ("mistral-ocr-latest", "USD", Quantities(pages=10, annotated_pages=1), "0.045"),
        ("voxtral-mini-latest", "EUR", Quantities(audio_seconds=60), "0.0026"),
        ("voxtral-mini-tts-2603", "EUR", Quantities(characters=1000), "0.01"),
        ("mistral-moderation-2603", "EUR", Quantities(1000), "0"),
        ("mistral-large-4", "EUR", Quantities(1_000_000), "0.578"),
    ],
)
def test_golden_costs_of_the_published_list(model, currency, used, expected):
    assert cost(used, pricebook.prices_for(model, currency, NOW)).amount == Decimal(expected)


@pytest.mark.parametrize(
    "model", ["ft:mistral-small-2603:acme:20260101:abcd", "mistral-ocr-2503", "no-such-model"]
)
def test_fine_tuned_unlisted_and_unknown_models_have_no_price(model):
    assert pricebook.prices_for(model, "EUR", NOW).meters == {}


def test_a_price_holds_from_its_lists_date_and_no_earlier():
    assert pricebook.prices_for("mistral-small-latest", "EUR", AS_OF).meters
    before = AS_OF - timedelta(microseconds=1)
    assert pricebook.prices_for("mistral-small-latest", "EUR", before).meters == {}


def test_loading_a_list_again_adds_nothing(tmp_path):
    name, path = listing(tmp_path, entry("input", "per_1M_tokens", 0.1, 0.09))
    first, second = load(path), load(path, NOW + timedelta(days=1))
    assert [change.before for change in first.changes] == [None, None]
    assert (second.changes, second.unchanged) == ((), 2)
    assert Price.objects.filter(mistral_model=name).count() == 2


def test_a_changed_price_is_a_new_row_from_now_on_and_the_past_keeps_its_own(tmp_path):
    name, old = listing(tmp_path, entry("input", "per_1M_tokens", 0.1, 0.09))
    _, new = listing(tmp_path, entry("input", "per_1M_tokens", 0.2, 0.09), name=name)
    load(old)
    changed = load(new)
    assert [(one.listed.currency, one.before) for one in changed.changes] == [
        ("USD", Decimal("0.1"))
    ]

    def price(currency, at):
        return pricebook.prices_for(name, currency, at).meters[Meter.INPUT].amount

    just_before = NOW - timedelta(microseconds=1)
    assert [price("USD", at) for at in (AS_OF, just_before, NOW)] == [
        Decimal("0.1"),
        Decimal("0.1"),
        Decimal("0.2"),
    ]
    assert price("EUR", NOW) == Decimal("0.09")


def test_going_back_to_an_old_list_is_a_change_too(tmp_path):
    name, old = listing(tmp_path, entry("input", "per_1M_tokens", 0.1, 0.1))
    _, new = listing(tmp_path, entry("input", "per_1M_tokens", 0.2, 0.2), name=name)
    for days, path in enumerate((old, new, old)):
        load(path, NOW + timedelta(days=days))
    found = pricebook.prices_for(name, "EUR", NOW + timedelta(days=3))
    assert found.meters[Meter.INPUT].amount == Decimal("0.1")


def test_a_dry_run_tells_the_difference_and_writes_nothing(tmp_path):
    name, path = listing(tmp_path, entry("input", "per_1M_tokens", 0.1, 0.09))
    told = services.import_price_list(listed=pricelist.read(path), at=NOW, is_dry_run=True)
    assert len(told.changes) == 2
    assert not Price.objects.filter(mistral_model=name).exists()


def test_a_price_published_in_dollars_alone_is_converted_and_marked(tmp_path):
    name, path = listing(tmp_path, entry("output", "per_1M_tokens", 2))
    load(path)
    rows = Price.objects.filter(mistral_model=name).order_by("currency")
    assert [(row.currency, row.amount, row.is_converted) for row in rows] == [
        ("EUR", Decimal("1.70"), True),
        ("USD", Decimal(2), False),
    ]


@pytest.mark.parametrize(
    ("as_of", "rate"), [("2025-01-01", "0.8"), ("2026-06-30", "0.8"), ("2026-07-01", "0.9")]
)
def test_a_list_is_converted_by_the_rate_of_its_own_day(as_of, rate):
    rows = [
        {"from": "USD", "to": "EUR", "rate": "0.9", "as_of": "2026-07-01"},
        {"from": "USD", "to": "EUR", "rate": "0.8", "as_of": "2026-03-01"},
    ]
    assert pricelist._rates(json.dumps(rows).encode(), as_of) == {"EUR": Decimal(rate)}


def test_of_two_figures_for_one_meter_the_dearer_counts(tmp_path):
    name, path = listing(
        tmp_path,
        entry("input", "per_audio_minute", 0.001, 0.001),
        twice=[entry("input", "per_audio_minute", 0.002, 0.002)],
    )
    load(path)
    found = pricebook.prices_for(name, "EUR", NOW).meters[Meter.AUDIO_SECOND]
    assert (found.amount, found.per) == (Decimal("0.002"), 60)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"meta": {}}', '{"meta": {"as_of": "soon"}, "models": []}', '{"meta": null}'],
)
def test_what_is_no_price_list_is_refused(content, tmp_path):
    path = tmp_path / "list.json"
    path.write_text(content)
    with pytest.raises(pricelist.PriceListError):
        pricelist.read(path)


def test_a_unit_without_a_meter_is_refused_whole(tmp_path):
    _, path = listing(
        tmp_path, entry("input", "per_1M_tokens", 1, 1), entry("input", "per_smile", 1, 1)
    )
    with pytest.raises(pricelist.PriceListError, match="per_smile"):
        pricelist.read(path)


def test_the_command_prints_the_difference(tmp_path):
    name, path = listing(tmp_path, entry("input", "per_1M_tokens", 0.5, 0.44))
    told = StringIO()
    call_command("load_prices", file=path, dry_run=True, stdout=told)
    assert f"{name} " in told.getvalue()
    assert "2 would change, 0 as before, list of 2026-08-21" in told.getvalue()
    call_command("load_prices", file=path, stdout=StringIO())
    again = StringIO()
    call_command("load_prices", file=path, stdout=again)
    assert again.getvalue() == "prices: 0 changed, 2 as before, list of 2026-08-21\n"


def test_the_command_refuses_a_list_that_is_not_there(tmp_path):
    with pytest.raises(CommandError, match="cannot read the price list"):
        call_command("load_prices", file=tmp_path / "none.json")


def test_a_book_is_kept_a_minute_and_then_read_again(monkeypatch, django_assert_num_queries):
    pricebook.forget()
    with django_assert_num_queries(1):
        book = pricebook.current()
        assert pricebook.current() is book
    later = time.monotonic_ns() + 61 * 10**9
    monkeypatch.setattr(time, "monotonic_ns", lambda: later)
    assert pricebook.current() is not book
    monkeypatch.undo()
    pricebook.forget()


def test_a_price_can_be_neither_changed_nor_removed():
    assert Price.objects.filter(mistral_model="mistral-small-2603").exists()
    for statement in ("UPDATE spend_price SET amount = 0", "DELETE FROM spend_price"):
        with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as on:
            on.execute(statement)


def test_a_price_of_today_is_found_today():
    assert pricebook.prices_for("mistral-small-latest", "EUR", timezone.now()).meters
