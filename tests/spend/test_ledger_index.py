"""The index by which reports find what is not rolled up: whole, whatever autovacuum left undone."""

import contextlib
import time

import psycopg
import pytest
from django.db import connection

from tenants.spend import rollups
from tests.postgres import owner_url

#: A past month that no other test writes into; 6,000 events fill some 300 pages.
PART = "spend_usageevent_1999_05"
INDEX = f"{PART}_transaction_id_idx"
MAKE = f"""
    CREATE TABLE {PART} (LIKE spend_usageevent INCLUDING ALL);
    ALTER TABLE {PART} ENABLE ROW LEVEL SECURITY;
    ALTER TABLE spend_usageevent ATTACH PARTITION {PART}
        FOR VALUES FROM ('1999-05-01 00:00+00') TO ('1999-06-01 00:00+00');
    INSERT INTO spend_usageevent (
        id, organization_id, workspace_id, occurred_at, period, source, category, endpoint,
        requested_model, answered_model, prompt_tokens, completion_tokens, cached_tokens, pages,
        annotated_pages, audio_seconds, characters, requests, currency, cost, excess, factor,
        price_ids, estimate, outcome, message_id, request_id, correlation_id
    )
    SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '1999-05-05 12:00+00',
           '1999-05-01', 'gateway', 'completion', '', repeat('m', 200), '', 0, 0, 0, 0, 0, 0, 0, 1,
           'EUR', 0, 0, 1, '{{}}', '', 'completed', '', '', ''
    FROM generate_series(1, 6000);
"""


@pytest.fixture
def owner():
    """A month of the ledger with pages that nothing has summed up; it is gone afterwards."""
    with psycopg.connect(owner_url(), autocommit=True) as itself:
        itself.execute(MAKE)
        itself.execute("SET enable_seqscan = off")
        try:
            yield itself
        finally:
            itself.execute(f"DROP TABLE {PART}")


def pages_in_vain(owner):
    """Count what is read to find a transaction that cannot be."""
    (plan,) = owner.execute(
        f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT FROM {PART} WHERE transaction_id = {2**63 - 1}"
    ).fetchone()
    return plan[0]["Plan"].get("Lossy Heap Blocks", 0)


def interrupt(owner, milliseconds, after):
    """Have a summing-up begin and not end; an interrupted one leaves its range half done.

    Args:
        owner: who sums up.
        milliseconds: when it is interrupted.
        after: how many rows are counted before it begins: the more, the earlier it is interrupted.
    """
    # With the transaction ends the time-out, which could interrupt what takes it back, too.
    with contextlib.suppress(psycopg.errors.QueryCanceled), owner.transaction():
        owner.execute(f"SET LOCAL statement_timeout = {milliseconds}")
        owner.execute(
            "SELECT brin_summarize_new_values(%s)"
            " FROM (SELECT count(*) FROM generate_series(1, %s)) busy",
            [INDEX, after],
        )


def forget(owner):
    owner.execute(
        "SELECT brin_desummarize_range(%s, place) FROM generate_series(0, 319, 32) place", [INDEX]
    )


def spoil(owner, least, most):
    """Interrupt summings-up until so many pages are read in vain although all are summed up."""
    forget(owner)
    began = time.perf_counter()
    owner.execute("SELECT brin_summarize_new_values(%s)", [INDEX])
    longest = int((time.perf_counter() - began) * 1000) + 2
    for attempt in range(1000):
        forget(owner)
        interrupt(owner, 1 + attempt // 40 % longest, attempt % 40 * 400)
        owner.execute("SELECT brin_summarize_new_values(%s)", [INDEX])
        vain = pages_in_vain(owner)
        if least <= vain <= most:
            return vain
    raise AssertionError("no summing-up could be interrupted there")


def test_pages_are_summed_up_that_autovacuum_left_out(owner):
    assert pages_in_vain(owner) > 200
    summed, mended = rollups.sum_up_pages()
    assert summed > 6
    assert mended == 0
    assert pages_in_vain(owner) <= 32
    assert rollups.sum_up_pages() == (0, 0)


@pytest.mark.parametrize(("least", "most"), [(129, 160), (161, 300), (301, 320)])
def test_what_an_interrupted_summing_up_spoils_is_mended(owner, least, most):
    """Just enough, more, and from the first page on."""
    vain = spoil(owner, least, most)
    owner.execute(f"VACUUM {PART}")
    assert pages_in_vain(owner) == vain, "VACUUM mends it: then the function need not"
    _, mended = rollups.sum_up_pages()
    assert mended == 1
    assert pages_in_vain(owner) <= 32


def test_a_few_pages_in_vain_are_let_be(owner):
    vain = spoil(owner, 1, 128)
    _, mended = rollups.sum_up_pages()
    assert mended == 0
    assert pages_in_vain(owner) == vain


def test_what_cannot_be_told_is_not_mended(owner):
    """A plan by another way tells nothing of pages in vain."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_bitmapscan = off")
        try:
            summed, mended = rollups.sum_up_pages()
        finally:
            cursor.execute("RESET enable_bitmapscan")
    assert (summed > 0, mended) == (True, 0)
