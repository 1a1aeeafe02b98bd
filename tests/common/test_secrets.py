"""A Secret gives its plaintext to reveal() and to nothing else."""

import copy
import json
import pickle
import traceback

import orjson
import pytest

from tenants.common.secrets import MASK, Secret, last_four

CANARY = "Canary0123456789abcdefghijklmnop"


@pytest.fixture
def secret():
    return Secret(CANARY)


def test_it_prints_a_mask_however_it_is_printed(secret):
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{[secret]}",
        f"{secret}",
    ]
    assert all(CANARY not in text for text in shown)
    assert str(secret) == MASK


@pytest.mark.parametrize(
    "leak",
    [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, orjson.dumps, hash, vars],
    ids=lambda function: function.__name__,
)
def test_it_refuses_to_be_serialised_copied_or_hashed(secret, leak):
    with pytest.raises(TypeError) as refusal:
        leak(secret)
    assert CANARY not in str(refusal.value)


def test_a_traceback_with_locals_does_not_show_it(secret):
    def fail():
        raise ValueError(secret)

    try:
        fail()
    except ValueError as error:
        shown = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    assert CANARY not in shown.replace(f"CANARY = '{CANARY}'", "")


def test_equal_secrets_are_equal_and_others_are_not(secret):
    assert secret == Secret(CANARY)
    assert secret != Secret(CANARY.swapcase())
    assert secret != CANARY


def test_people_see_the_last_four(secret):
    assert last_four(secret) == "mnop"
