"""Of a usage with a figure that cannot be read, the others are read all the same."""

import pytest

from tenants.mistral.told import read_told
from tenants.mistral.wire import Usage

DETAILS = "prompt_tokens_details"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"prompt_tokens": 100, "completion_tokens": 4000, DETAILS: {"cached_tokens": 128}},
            Usage(100, 4000, cached_tokens=100),
        ),
        ({"prompt_tokens": 5, "num_cached_tokens": 6, DETAILS: [1]}, Usage(5, cached_tokens=5)),
        (
            {"prompt_tokens": "many", "completion_tokens": 7, "service_tier": 7},
            Usage(None, 7),
        ),
        ({"prompt_audio_seconds": 12.5, "prompt_tokens": 3}, Usage(3, prompt_audio_seconds=13)),
        ({"prompt_audio_seconds": 12.0}, Usage(prompt_audio_seconds=12)),
        ({"prompt_audio_seconds": "12", "total_tokens": 2}, Usage(total_tokens=2)),
        ({"prompt_audio_seconds": 1e300, "total_tokens": 2}, Usage(total_tokens=2)),
        (
            {"prompt_tokens": -1, "completion_tokens": 10, "total_tokens": 30},
            Usage(20, 10, 30),
        ),
        (
            {"prompt_tokens": 9, DETAILS: {"cached_tokens": "x", "audio_tokens": 2}},
            Usage(9, audio_tokens=2),
        ),
        (
            {"prompt_tokens": 9, "connectors": {"web_search": 2, "other": "often"}},
            Usage(9, connector_calls=2),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 1}, Usage(9, 1)),
        ({"prompt_tokens": True}, Usage()),
        ("12", Usage()),
        (None, Usage()),
    ],
)
def test_what_can_be_read_is_kept(given, told):
    assert read_told(given) == told
