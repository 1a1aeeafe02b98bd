import base64
import math
import struct

import pytest

from tests.simulator.schema import check


def embed(client, **more):
    return client.post(
        "/v1/embeddings", json={"model": "mistral-embed", "input": ["one", "two"], **more}
    )


def test_texts_become_unit_vectors_the_same_for_the_same_text(alice):
    answer = embed(alice).json()
    check(answer, "EmbeddingResponse")
    one, two = (row["embedding"] for row in answer["data"])
    assert [row["index"] for row in answer["data"]] == [0, 1]
    assert len(one) == 1024
    assert math.isclose(math.sumprod(one, one), 1, abs_tol=1e-5)
    assert one != two
    assert embed(alice, input="one").json()["data"][0]["embedding"] == one
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2, "completion_tokens": 0}


def test_base64_carries_the_same_numbers(alice):
    floats = embed(alice, input="one").json()["data"][0]["embedding"]
    packed = base64.b64decode(
        embed(alice, input="one", encoding_format="base64").json()["data"][0]["embedding"]
    )
    assert struct.unpack("<1024f", packed) == pytest.approx(floats, abs=1e-6)


@pytest.mark.parametrize(
    ("dtype", "length", "least", "most"),
    [
        ("int8", 256, -127, 127),
        ("uint8", 256, 0, 254),
        ("binary", 32, -128, 127),
        ("ubinary", 32, 0, 255),
    ],
)
def test_vectors_can_be_shorter_and_coarser(alice, dtype, length, least, most):
    answer = embed(
        alice, model="codestral-embed", input="one", output_dimension=256, output_dtype=dtype
    )
    vector = answer.json()["data"][0]["embedding"]
    assert len(vector) == length
    assert all(isinstance(number, int) and least <= number <= most for number in vector)


def test_chat_models_do_not_embed_and_texts_have_a_limit(alice):
    assert embed(alice, model="mistral-small-latest").json()["code"] == "1500"
    assert embed(alice, input="x" * (4 * 8192 + 1)).json()["code"] == "3051"
    assert embed(alice, output_dimension=99_999).status_code == 400


def test_moderation_judges_each_text(alice):
    body = {"model": "mistral-moderation-2603", "input": ["a criminal plan", "good morning"]}
    answer = alice.post("/v1/moderations", json=body)
    check(answer.json(), "ModerationResponse")
    bad, good = answer.json()["results"]
    assert bad["categories"]["criminal"]
    assert bad["category_scores"]["criminal"] > 0.9
    assert not any(good["categories"].values())
    refused = alice.post("/v1/moderations", json={**body, "model": "mistral-small-latest"})
    assert refused.json()["code"] == "1500"
