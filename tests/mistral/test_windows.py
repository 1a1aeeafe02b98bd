"""Windows of rate limits are read from their names, old and new."""

import pytest

from tenants.mistral.windows import window_of


@pytest.mark.parametrize(
    ("name", "by_size", "meaning"),
    [
        ("req-minute", False, ("requests", 60)),
        ("req-60-second", False, ("requests", 60)),
        ("req-10-second", False, ("requests", 10)),
        ("tokens-minute", False, ("tokens", 60)),
        ("tokens-5-minute", False, ("tokens", 300)),
        ("tokens-month", False, ("tokens", 31 * 86_400)),
        ("minute", True, ("tokens", 60)),
        ("ocr-pages-minute", False, ("ocr-pages", 60)),
        ("custom-day", False, ("custom", 86_400)),
        ("", True, None),
        ("fortnight", False, None),
    ],
)
def test_a_window_is_read_from_its_name(name, by_size, meaning):
    assert window_of(name, by_size=by_size) == meaning
