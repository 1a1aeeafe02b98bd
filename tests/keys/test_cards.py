"""Of Mistral's cards is kept what is plain data and has room; the same is not written again."""

import orjson
import pytest

from tenants.common import scope
from tenants.keys import cards
from tests.keys.keyring import checked, registered, set_back

KEY_SHAPED = "kX3" + "aB1" * 10


def nested(depth):
    return [nested(depth - 1)] if depth else "deep"


def test_a_card_is_kept_as_it_is_without_its_id_and_the_instant_of_the_answer():
    card = {
        "object": "model",
        "name": None,
        "capabilities": {"vision": True},
        "default_model_temperature": 0.3,
        "max_context_length": 262144,
        "aliases": ["a", "b"],
        "new": "what Mistral adds one day",
    }
    assert cards.read({"id": "a", "created": 1, **card}) == card


@pytest.mark.parametrize(
    "value",
    [
        "a\0b",
        {"a\0": 1},
        1e300,
        2**60,
        nested(5),
        {"deep": [{"deep": [{"deep": []}]}]},
        f"My key is {KEY_SHAPED}",
        [{KEY_SHAPED: 1}],
        "x " * 4096,
    ],
)
def test_what_is_not_plain_or_too_large_is_left_out_alone(value):
    assert cards.read({"name": "a", "odd": value, "job": "j"}) == {"name": "a", "job": "j"}


def test_a_card_has_eight_kibibytes_at_most():
    card = cards.read({f"m{index}": "y " * 50 for index in range(1000)})
    assert 7 * 1024 < len(orjson.dumps(card)) <= 8 * 1024


def test_a_card_that_is_the_same_is_not_written_again(workspace, made_up):
    key = checked(registered(workspace, made_up(organization="aurora", workspace="main")))
    with scope.tenant(key.organization_id):
        before = versions(key)
        assert all(row.card["object"] == "model" for row in key.seen_models.all())
    checked(set_back(key, next_check_at=1))
    with scope.tenant(key.organization_id):
        assert versions(key) == before


def versions(key):
    rows = key.seen_models.extra(select={"version": "keys_seenmodel.xmin"})
    return dict(rows.values_list("mistral_id", "version"))
