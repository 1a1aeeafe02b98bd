from decimal import Decimal

import pytest

from aisuru_mistral.simulator.state import SimulatorState


def line(model, *, tier="standard", batch=False, **used):
    ledger = SimulatorState().ledger
    written = ledger.line(
        key="valid",
        organization="o",
        workspace="w",
        model=model,
        service_tier=tier,
        batch=batch,
    )
    for meter, amount in used.items():
        setattr(written, meter, amount)
    return ledger.total()


@pytest.mark.parametrize(
    ("model", "used", "usd"),
    [
        ("mistral-ocr-4-1", {"pages": 1000, "annotated_pages": 1000}, "9"),
        ("mistral-ocr-2512", {"annotated_pages": 1}, "0.003"),
        ("voxtral-mini-2602", {"audio_seconds": 90}, "0.0045"),
        ("voxtral-small-2507", {"audio_seconds": 60, "prompt_tokens": 1_000_000}, "0.104"),
        ("voxtral-mini-tts-2603", {"characters": 125_000}, "2"),
        ("mistral-small-2603", {"connector_tokens": 1_000_000, "connector_calls": 4}, "0.15"),
    ],
)
def test_every_meter_has_its_published_price(model, used, usd):
    assert line(model, **used).usd == Decimal(usd)


def test_batches_cost_half_whatever_the_meter_and_the_tier():
    used = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}
    live = line("mistral-small-2603", **used).usd
    assert line("mistral-small-2603", batch=True, **used).usd == live / 2
    assert line("mistral-small-2603", tier="priority", batch=True, **used).usd == live * 7 / 8
    assert line("mistral-ocr-4-1", batch=True, pages=1000).usd == 2
