"""Results of batches: what each kind of line used, at half of the published price, in its category.

Prices in EUR: mistral-ocr-4-1 3.50 for 1,000 pages and 4.38 for annotated ones, voxtral-mini-2602
0.0026 a minute, mistral-small-2603 0.12 and 0.50 for a million tokens, 0.012 where they are cached.
"""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from tenants.common import scope, turns
from tenants.keys.models import SeenModel
from tenants.spend import batches, own_prices, pricebook
from tenants.spend.own_prices import OwnPrice
from tenants.spend.pricing import Meter, Quantities
from tests.factories import ACTOR
from tests.spend.batched import ERRORS_FILE, Batch, line
from tests.spend.made import as_owner

CHAT, OCR, SPOKEN = "/v1/chat/completions", "/v1/ocr", "/v1/audio/transcriptions"
TALK = "/v1/conversations"
SMALL, READER, VOICE = "mistral-small-2603", "mistral-ocr-4-1", "voxtral-mini-2602"


@pytest.fixture
def batch(settings):
    """Make a job at a Mistral of its own."""
    running = []

    def make(*args, **facts) -> Batch:
        made = Batch(*args, **facts)
        context = made.at_mistral()
        settings.MISTRAL_API_URL = context.__enter__().url
        running.append(context)
        return made

    yield make
    for context in running:
        context.__exit__(None, None, None)


def turn(prompt=900, completion=100, **more):
    """A line of a conversation."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    output = {"type": "message.output", "model": SMALL, "content": "It is so."}
    return line({"conversation_id": "c", "outputs": [output], "usage": usage | more})


def test_calls_of_connectors_are_counted_in_an_event_of_their_own_without_a_known_price(batch):
    tools = {"connector_tokens": 600, "connectors": {"web_search": 2, "code_interpreter": 1}}
    held = Quantities(prompt_tokens=10_000, completion_tokens=1000)
    made = batch(TALK, SMALL, held, [turn(**tools), turn(), turn(connectors={"web_search": 4})])
    turns, connectors = made.metered()
    assert (turns["category"], turns["requests"], turns["connector_calls"]) == (
        "completion",
        3,
        None,
    )
    assert (turns["prompt_tokens"], turns["completion_tokens"]) == (3300, 300)
    assert turns["cost"] == (3300 * Decimal("0.12") + 300 * Decimal("0.50")) / 1_000_000 / 2
    assert (turns["id"], turns["answered_model"], turns["estimate"]) == (
        made.call.call_id,
        SMALL,
        "",
    )
    assert (connectors["category"], connectors["requests"]) == ("connectors", 0)
    assert (connectors["connector_calls"], connectors["cost"]) == (7, None)
    assert (connectors["prompt_tokens"], connectors["answered_model"]) == (0, SMALL)


def test_an_organizations_own_price_of_connectors_is_not_halved(batch):
    made = batch(TALK, SMALL, Quantities(), [turn(connectors={"web_search": 3})])
    own_prices.report_prices(
        actor=ACTOR,
        organization=made.organization,
        prices=[OwnPrice(SMALL, Meter.CONNECTOR, "EUR", Decimal(30), 1000)],
        at=timezone.now() - timedelta(hours=1),
        source="a contract",
        checksum="c",
    )
    turns, connectors = made.metered()
    assert (connectors["cost"], connectors["factor"]) == (Decimal("0.09"), 1)
    assert turns["factor"] == Decimal("0.5")


def test_a_figure_that_no_call_can_have_does_not_keep_a_job_from_being_metered(batch):
    absurd = turn(2**40, 2**40, connectors={"web_search": 2**40})
    turns, connectors = batch(TALK, SMALL, Quantities(), [absurd, absurd]).metered()
    assert turns["prompt_tokens"] == turns["completion_tokens"] == 2**31 - 1
    assert connectors["connector_calls"] == 2 * 10_000


def page(**image):
    return {"index": 0, "markdown": "Some text", "images": [{"id": "i", **image}] if image else []}


def read(pages: object, *listed, **more):
    """A line of OCR that tells so many pages and shows others."""
    body = {"pages": [*listed], "model": READER, "usage_info": {"pages_processed": pages}}
    return line(body | more)


def untold(*listed):
    return line({"pages": [*listed], "model": READER})


@pytest.mark.parametrize(
    ("output", "pages", "cost", "estimate"),
    [
        ([read(3, page(), page(), page()), read(2)], (5, 0), "0.00875", ""),
        ([read(2), read(3, document_annotation="{}")], (2, 3), "0.01007", ""),
        ([read(2, page(), page(id="a", image_annotation="{}"))], (0, 2), "0.00438", ""),
        ([read(2, page(id="a", image_annotation=None))], (2, 0), "0.0035", ""),
        ([read(0)], (0, 0), "0", ""),
        ([read(0, page(), page())], (2, 0), "0.0035", "usage_missing"),
        ([read("many", page())], (1, 0), "0.00175", "usage_missing"),
        ([read(-1, page())], (1, 0), "0.00175", "usage_missing"),
        ([read(1), untold(page(), page())], (3, 0), "0.00525", "usage_missing"),
        ([untold(page(id="a", image_annotation="{}"))], (0, 1), "0.00219", "usage_missing"),
        ([read(1), b'{"response": {"status_code": 2'], (1, 100), "0.22075", "usage_missing"),
        ([line("unreadable")], (1, 200), "0.43975", "usage_missing"),
        ([read(2**62)], (2**31 - 1, 0), "3758096.38225", ""),
    ],
)
def test_pages_of_batches_are_billed_at_half_plain_or_annotated(
    batch, output, pages, cost, estimate
):
    made = batch(OCR, READER, Quantities(pages=1, annotated_pages=200), output)
    (event,) = made.metered()
    assert (event["pages"], event["annotated_pages"]) == pages
    assert (event["category"], event["endpoint"], event["answered_model"]) == ("ocr", OCR, READER)
    assert (event["cost"], event["factor"]) == (Decimal(cost), Decimal("0.5"))
    assert (event["estimate"], event["requests"]) == (estimate, len(output))
    assert (event["prompt_tokens"], event["id"]) == (0, made.call.call_id)


def test_where_every_page_was_held_as_annotated_all_are_billed_so_also_without_a_picture(batch):
    made = batch(OCR, READER, Quantities(annotated_pages=1000), [read(999, page()), untold(page())])
    (event,) = made.metered()
    assert (event["pages"], event["annotated_pages"]) == (0, 1000)
    assert event["cost"] == Decimal("2.19")


def heard(text="What was said", model=VOICE, **usage):
    """A line of a recording."""
    return line({"model": model, "text": text, "language": None, "usage": usage or None})


TOLD = {"prompt_tokens": 4, "completion_tokens": 90, "total_tokens": 94}


@pytest.mark.parametrize(
    ("output", "seconds", "cost", "estimate"),
    [
        (
            [heard(prompt_audio_seconds=61, **TOLD), heard(prompt_audio_seconds=59)],
            120,
            "0.0026",
            "",
        ),
        ([heard("", prompt_audio_seconds=0)], 0, "0", ""),
        ([heard(prompt_audio_seconds=0, **TOLD)], 1200, "0.026", "usage_missing"),
        ([heard(prompt_audio_seconds=60), heard(**TOLD)], 660, "0.0143", "usage_missing"),
        ([heard(prompt_audio_seconds=60), heard()], 660, "0.0143", "usage_missing"),
        ([heard(prompt_audio_seconds="long")], 1200, "0.026", "usage_missing"),
        ([b"no JSON", heard(prompt_audio_seconds=60)], 660, "0.0143", "usage_missing"),
    ],
)
def test_recordings_of_batches_cost_half_of_their_seconds_and_no_tokens(
    batch, output, seconds, cost, estimate
):
    made = batch(SPOKEN, VOICE, Quantities(audio_seconds=1200), output)
    (event,) = made.metered()
    assert (event["audio_seconds"], event["category"]) == (seconds, "audio")
    assert (event["cost"], event["factor"]) == (Decimal(cost), Decimal("0.5"))
    assert (event["estimate"], event["requests"]) == (estimate, len(output))
    assert (event["prompt_tokens"], event["completion_tokens"]) == (0, 0)


def said(prompt=1000, completion=100, model=SMALL, **more):
    """A line of a chat."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, **more}
    choice = {"message": {"role": "assistant", "content": "x" * 31}}
    return line({"model": model, "choices": [choice], "usage": usage})


NOT_SENT = b'{"custom_id": "2", "response": null, "error": {"message": "Request failed"}}'
REFUSED = line({"detail": "no", "usage": {"prompt_tokens": 9, "completion_tokens": 9}}, 422)


def test_lines_that_failed_cost_nothing_beside_those_that_did_not(batch):
    held = Quantities(prompt_tokens=9000, completion_tokens=900)
    (event,) = batch(CHAT, SMALL, held, [REFUSED, said(), b"", NOT_SENT, said()]).metered()
    assert (event["requests"], event["prompt_tokens"], event["completion_tokens"]) == (2, 2000, 200)
    assert (event["cost"], event["estimate"]) == (Decimal("0.00017"), "")


@pytest.mark.parametrize(
    ("output", "job"),
    [
        ([NOT_SENT, REFUSED], {}),
        (None, {"status": "FAILED", "error_file": ERRORS_FILE}),
        (None, {"status": "CANCELLED", "total_requests": None}),
    ],
)
def test_a_job_without_an_answer_costs_nothing_and_holds_nothing(batch, output, job):
    made = batch(CHAT, SMALL, Quantities(prompt_tokens=9000), output, job)
    (event,) = made.metered()
    assert (event["id"], event["cost"], event["prompt_tokens"]) == (made.call.call_id, 0, 0)
    assert made.row().status == job.get("status", "SUCCESS")


OUTPUT = [said(), REFUSED, said(), said()]
ANSWERED = {"total_requests": 4, "completed_requests": 3, "succeeded_requests": 3}


def test_an_output_that_comes_late_is_waited_for(batch):
    held = Quantities(prompt_tokens=9000, completion_tokens=900)
    made = batch(CHAT, SMALL, held, None, job={"status": "CANCELLED", **ANSWERED})
    assert not made.meter()
    made.output = [said()]  # still being written
    assert not made.meter()
    assert (made.row().status, made.row().metered_at) == ("CANCELLED", None)
    made.output = OUTPUT
    (event,) = made.metered()
    assert (event["requests"], event["prompt_tokens"], event["estimate"]) == (3, 3000, "")


def test_an_output_that_comes_with_the_job_is_read(batch):
    made = batch(CHAT, SMALL, Quantities(), None, ANSWERED, inline=OUTPUT)
    (event,) = made.metered()
    assert (event["requests"], event["prompt_tokens"], event["estimate"]) == (3, 3000, "")


def test_lines_that_are_said_to_be_answered_and_never_shown_are_an_estimate_at_last(batch):
    held = Quantities(prompt_tokens=8000, completion_tokens=400)
    made = batch(CHAT, SMALL, held, [said()], job=ANSWERED)
    assert not made.meter()
    made.is_late()
    (event,) = made.metered()
    assert (event["requests"], event["estimate"]) == (3, "usage_missing")
    assert (event["prompt_tokens"], event["completion_tokens"]) == (1000 + 4000, 100 + 200)


@pytest.mark.parametrize("told", [{"succeeded_requests": 4}, {}])
def test_all_lines_together_are_no_more_than_was_held_where_their_number_is_not_told(batch, told):
    silent = line({"model": SMALL, "choices": []})
    held = Quantities(prompt_tokens=8000, completion_tokens=400)
    shown = [silent] * (2 if told else 4)
    made = batch(CHAT, SMALL, held, shown, job={"total_requests": None, **told})
    made.is_late()
    (event,) = made.metered()
    assert (event["requests"], event["prompt_tokens"]) == (4, 8000)


def test_of_many_missing_lines_no_event_has_more_than_a_thousand(batch):
    job = {"total_requests": 4000, "succeeded_requests": 2500}
    made = batch(OCR, READER, Quantities(pages=8000), [read(1)] * 700, job=job)
    made.is_late()
    events = sorted(made.metered(), key=lambda event: event["requests"])
    assert [event["requests"] for event in events] == [500, 1000, 1000]
    assert sum(event["pages"] for event in events) == 700 + 1800 * 2


def test_a_chat_line_without_usage_is_its_share_of_the_input_and_what_was_written(batch):
    silent = line({"model": SMALL, "choices": [{"message": {"content": "x" * 31}}]})
    held = Quantities(prompt_tokens=9000, completion_tokens=900)
    (event,) = batch(CHAT, SMALL, held, [said(), silent, said()]).metered()
    assert (event["prompt_tokens"], event["completion_tokens"]) == (2000 + 3000, 200 + 11)
    assert event["estimate"] == "usage_missing"


@pytest.mark.parametrize(
    ("held", "prompt", "completion"),
    [
        (Quantities(prompt_tokens=9000, completion_tokens=900), 1000, 100 + 150),
        (Quantities(prompt_tokens=4000, completion_tokens=400), 1000 + 50, 200),
        (Quantities(prompt_tokens=2000, completion_tokens=200), 1000, 100),
    ],
)
def test_what_a_lines_total_has_beyond_both_parts_is_a_flagged_guess(
    batch, held, prompt, completion
):
    output = [said(total_tokens=1250), said()]
    (event,) = batch(CHAT, SMALL, held, output).metered()
    assert event["estimate"] == "usage_missing"
    assert event["prompt_tokens"] == prompt + 1000
    assert event["completion_tokens"] == completion + 100


def test_digits_and_emoji_of_a_line_without_usage_are_not_estimated_too_low(batch):
    silent = line({"model": SMALL, "choices": [{"message": {"content": "7" * 50 + "🫠" * 10}}]})
    (event,) = batch(CHAT, SMALL, Quantities(completion_tokens=900), [silent]).metered()
    assert (event["completion_tokens"], event["estimate"]) == (50 + 40, "usage_missing")


def test_lines_of_each_model_and_tier_have_their_own_price(batch):
    output = [said(), said(service_tier="priority"), said(model=VOICE)]
    events = batch(CHAT, SMALL, Quantities(), output).metered()
    told = {(e["answered_model"], e["factor"]): e["cost"] for e in events}
    assert told == {
        (SMALL, Decimal("0.5")): Decimal("0.000085"),
        (SMALL, Decimal("0.875")): Decimal("0.00014875"),
        (VOICE, Decimal("0.5")): None,  # it has no price of tokens
    }


def excess_of(made):
    """What the organization's balance says that was billed beyond what was held."""
    rows = as_owner("SELECT excess FROM spend_balance WHERE subject_id = %s", made.organization.pk)
    return rows[0][0]


def told(model):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    return line({"model": model, "choices": [], "usage": usage})


@pytest.mark.parametrize("held", [10_000, 1000, 0])
def test_the_events_of_a_job_share_what_was_held_for_it(batch, held):
    output = [told(SMALL), told("mistral-medium-2508"), told(SMALL)]
    made = batch(CHAT, SMALL, Quantities(prompt_tokens=held), output)
    events = made.metered()
    assert len(events) == 2
    beyond = sum(event["cost"] for event in events) - made.call.worst_case.cost.amount
    assert (beyond > 0) is (held < 10_000)
    assert sum(event["excess"] for event in events) == excess_of(made) == max(beyond, 0)
    assert all(0 <= event["excess"] <= event["cost"] for event in events)


def test_a_model_without_prices_costs_what_the_one_that_was_asked_for_does(batch):
    (event,) = batch(CHAT, SMALL, Quantities(), [said(model="somebody-new")]).metered()
    assert (event["answered_model"], event["cost"]) == ("somebody-new", Decimal("0.000085"))


def test_a_regional_host_makes_half_a_little_more(batch):
    (event,) = batch(CHAT, SMALL, Quantities(), [said()], is_regional=True).metered()
    assert (event["factor"], event["cost"]) == (Decimal("0.55"), Decimal("0.0000935"))


def test_a_job_that_mistral_does_not_tell_of_keeps_its_hold_until_it_is_given_up(batch):
    made = batch(OCR, READER, Quantities(annotated_pages=200), [read(2)], refused=404)
    assert not made.meter()
    assert (made.row().claim, made.row().metered_at) == (None, None)
    made.is_late()
    (event,) = made.metered()
    assert (event["annotated_pages"], event["cost"]) == (200, Decimal("0.438"))
    assert (event["estimate"], event["outcome"]) == ("never_settled", "unknown")


def test_a_job_without_a_hold_is_given_up_for_nothing(batch):
    made = batch(OCR, READER, None, [read(2)], refused=404)
    made.is_late()
    (event,) = made.metered()
    assert (event["cost"], event["annotated_pages"], event["outcome"]) == (0, 0, "unknown")


def test_a_worker_that_is_to_stop_leaves_a_job_between_lines_and_another_meters_it_whole(
    batch, monkeypatch
):
    made = batch(TALK, SMALL, Quantities(prompt_tokens=100), [turn(), turn(), turn()])
    with monkeypatch.context() as patch:
        told = iter([False, True])
        patch.setattr(turns, "step", lambda: next(told))
        assert not made.meter()
    assert next(told, None) is None, "the second line was not read any more"
    row = made.row()
    assert (row.claim, row.metered_at) == (None, None)
    assert row.next_check_at <= timezone.now(), "the next sweep finds it"
    assert (made.organization.id, row.pk) in batches.take_due()
    (event,) = made.metered()
    assert (event["requests"], event["prompt_tokens"]) == (3, 2700)


def test_lines_of_an_alias_that_moved_cost_what_its_snapshot_does(batch):
    alias, after = "mistral-small-latest", "mistral-medium-3-5"
    body = {"model": alias, "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}
    made = batch(CHAT, alias, Quantities(prompt_tokens=5000, completion_tokens=500), [line(body)])
    with scope.tenant(made.organization.id):
        SeenModel.objects.create(
            organization_id=made.organization.id, key=made.key, mistral_id=alias, name=after
        )
    (event,) = made.metered()
    assert event["answered_model"] == after
    prices = pricebook.prices_for(after, "EUR", timezone.now()).meters
    assert set(event["price_ids"]) == {prices[Meter.INPUT].id, prices[Meter.OUTPUT].id}
