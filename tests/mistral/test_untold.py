"""What a total has beyond its parts."""

import pytest

from tenants.mistral.wire import read_usage

#: Of a turn with sound, as Mistral told it.
SOUND = {
    "prompt_audio_seconds": 0,
    "prompt_tokens": 6,
    "completion_tokens": 2,
    "total_tokens": 383,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375},
}


@pytest.mark.parametrize(
    ("told", "untold"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}, 25),
        ({"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 30}, 20),
        ({"input_tokens": 10, "output_tokens": 5, "total_tokens": 40}, 25),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, 0),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 11}, 0),
        ({"prompt_tokens": 10, "completion_tokens": 5}, 0),
        ({"prompt_tokens": 10, "total_tokens": 30}, 0),
        (
            {
                "prompt_tokens": 1,
                "completion_tokens": 2,
                "connector_tokens": 30,
                "total_tokens": 33,
            },
            0,
        ),
        (SOUND, 0),
        (SOUND | {"total_tokens": 400}, 17),
        ({"prompt_audio_seconds": 203, "prompt_tokens": 4, "total_tokens": 3264}, 0),
        (
            {
                "prompt_audio_seconds": 203,
                "prompt_tokens": 4,
                "total_tokens": 3264,
                "completion_tokens": 635,
            },
            0,
        ),
    ],
)
def test_what_a_total_has_beyond_its_parts_is_untold_unless_it_is_sound(told, untold):
    assert read_usage(told).untold == untold


def test_sound_is_no_output_that_was_not_told():
    told = {name: value for name, value in SOUND.items() if name != "completion_tokens"}
    assert read_usage(told).completion_tokens == 2
