"""AIsuru's consumption: both shapes are read leaf by leaf, by what the tokens are counted by."""

from datetime import date

import pytest

from tenants.aisuru.consumption import Consumption, read

MONTH = date(2026, 10, 1)
TREE = {
    "children": [
        {
            "key": "mistral-small-latest",
            "promptTokens": 99,
            "children": [
                {"memoriName": "Ada", "promptTokens": 7, "nonChargeablePromptTokens": 1},
                {"memoriName": "Leo", "completionTokens": 3, "completions": 2, "odd": {}},
                {"memoriName": "Nil", "promptTokens": "7", "completionTokens": -1},
            ],
        }
    ],
}


def log(**facts):
    return {
        "from": "2026-10-01T00:00:00Z",
        "memoriName": "Ada",
        "completions": 3,
        "promptTokens": {"mistral-small-latest": 120, "gpt": 5},
        "completionTokens": {"mistral-small-latest": 30},
    } | facts


def test_a_tree_is_read_leaf_by_leaf():
    assert read(TREE, MONTH) == (
        Consumption("Ada", "mistral-small-latest", 8, 0, 0),
        Consumption("Leo", "mistral-small-latest", 0, 3, 2),
    )


def test_a_log_is_read_key_by_key_and_its_completions_count_once():
    found = read({"consumptionLogs": [log()]}, MONTH)
    assert found == (
        Consumption("Ada", "mistral-small-latest", 120, 30, 3),
        Consumption("Ada", "gpt", 5, 0, 0),
    )


@pytest.mark.parametrize(
    ("starts", "is_read"),
    [
        ("2026-10-01T00:00:00Z", True),
        ("2026-09-30T22:00:00Z", True),  # midnight in Rome
        ("2026-09-01T00:00:00Z", False),
        ("2026-10-31T23:00:00Z", False),
        ("soon", True),
        (None, True),
    ],
)
def test_logs_of_other_months_are_left_out(starts, is_read):
    found = read({"consumptionLogs": [log(**{"from": starts})]}, MONTH)
    assert bool(found) is is_read


@pytest.mark.parametrize("odd", [{}, {"consumptionLogs": None}, {"children": [1, "x", None]}])
def test_what_is_no_consumption_is_none(odd):
    assert read(odd, MONTH) == ()
