"""Every answer that Mistral is known to give, through the wire: its verdict, cause and words.

The table is the simulator's own (``data/errors.json``): an answer that is added there and has no
row here fails.
"""

import orjson
import pytest
from django.utils import translation

from aisuru_mistral.simulator.errors import DATA, ERRORS
from tenants.keys import verdicts
from tenants.keys.causes import WORDS
from tenants.keys.judgement import found
from tenants.keys.models import KeyStatus, MistralKey, VerdictCode
from tenants.mistral.classification import classify
from tenants.mistral.errors import Confidence, ErrorClass
from tests.keys.keyring import checked, registered, set_back

INVALID, SUSPENDED, VALID = KeyStatus.INVALID, KeyStatus.SUSPENDED, KeyStatus.VALID
#: What each class does to a key that was never judged and is no longer fresh.
EXPECTED = {
    "key_invalid": (VerdictCode.KEY_UNKNOWN, INVALID),
    "admin_key_required": (VerdictCode.KEY_UNKNOWN, INVALID),
    "billing_inactive": (VerdictCode.BILLING_INACTIVE, SUSPENDED),
    "subscription_required": (VerdictCode.SUBSCRIPTION_REQUIRED, SUSPENDED),
    "batch_too_big_for_free": (VerdictCode.SUBSCRIPTION_REQUIRED, SUSPENDED),
    "included_usage_exhausted": (VerdictCode.SPENDING_LIMIT_REACHED, SUSPENDED),
    "spending_limit_reached": (VerdictCode.SPENDING_LIMIT_REACHED, SUSPENDED),
    "model_tier_denied": (VerdictCode.MISTRAL_UNAVAILABLE, None),
    "labs_not_enabled": (VerdictCode.MISTRAL_UNAVAILABLE, None),
    "forbidden_other": (VerdictCode.WRONG_WORKSPACE, None),
    "model_unknown": (VerdictCode.MISTRAL_UNAVAILABLE, None),
    "model_retired": (VerdictCode.MISTRAL_UNAVAILABLE, None),
    "bad_request": (VerdictCode.MISTRAL_UNAVAILABLE, None),
    "validation": (VerdictCode.MISTRAL_UNAVAILABLE, None),
    "rate_limited": (VerdictCode.RATE_LIMITED, None),
    "capacity": (VerdictCode.MISTRAL_UNAVAILABLE, None),
    "connector_rate_limited": (VerdictCode.RATE_LIMITED, None),
    "server_error": (VerdictCode.MISTRAL_UNAVAILABLE, None),
    "no_route": (VerdictCode.MISTRAL_UNAVAILABLE, None),
}
ANSWERS = orjson.loads(DATA.read_bytes())["errors"]
#: How sure the collection of answers is of itself, in the three steps that people are told.
SURE = {
    "observed": Confidence.HIGH,
    "observed, older": Confidence.HIGH,
    "observed by a third party": Confidence.MEDIUM,
    "observed by third parties": Confidence.MEDIUM,
    "third-party fixtures": Confidence.MEDIUM,
}
MADE_FOR_TESTS = "added for the simulator"


def name_of(answer) -> str:
    return str(answer["name"])


@pytest.mark.parametrize("answer", ANSWERS, ids=name_of)
def test_every_answer_gives_its_verdict_with_cause_evidence_confidence_and_next_step(
    workspace, made_up, answer
):
    verdict_code, status = EXPECTED[answer["class"]]
    # The simulator keeps some answers to calls of models; here they answer the free check.
    key = registered(workspace, made_up(behaviour={"error": answer["name"]}))
    key = checked(set_back(key, secret_at=600))
    # An ordinary key on the Admin API's path: on any other path a 401 is about the key itself.
    cause = "key_invalid" if answer["class"] == "admin_key_required" else answer["class"]
    if answer["name"] == "workspace_spending_limit":
        cause = "workspace_spending_limit_reached"

    assert (key.verdict_code, key.status) == (verdict_code, status or KeyStatus.PENDING)
    assert key.evidence["http_status"] == answer["http_status"]
    assert key.evidence["correlation_id"]
    assert key.evidence["cause"] == cause
    said = {}
    for language in ("en", "it"):
        with translation.override(language):
            verdict = verdicts.of(key)
        assert verdict is not None
        assert verdict.cause == cause
        said[language] = (verdict.title, verdict.detail, verdict.next_step)
        assert all(said[language])
    assert not set(said["en"]) & set(said["it"]), "said in the reader's language"


@pytest.mark.parametrize("answer", ANSWERS, ids=name_of)
def test_no_one_is_told_more_certainly_than_it_is_known(answer):
    if answer["confidence"] == MADE_FOR_TESTS:
        return
    path = "/v1/admin/usage" if answer["class"] == "admin_key_required" else "/v1/models"
    failure = classify(answer["http_status"], {}, ERRORS[answer["name"]].body, path=path)
    assert failure.error_class == answer["class"]
    assert failure.confidence is SURE.get(answer["confidence"], Confidence.LOW)
    assert found(failure).confidence is failure.confidence


def test_every_class_of_failure_is_in_the_table_of_answers_or_has_words_of_its_own():
    answered = {answer["class"] for answer in ANSWERS}
    assert answered == set(EXPECTED)
    assert set(ErrorClass) - answered <= set(WORDS)


def test_a_refusal_that_is_asked_about_again_is_told_with_little_confidence():
    for status in (KeyStatus.PENDING, KeyStatus.VALID):
        key = MistralKey(
            verdict_code=VerdictCode.KEY_UNKNOWN,
            status=status,
            evidence={"confidence": Confidence.HIGH},
        )
        key.checked_at = key.secret_at
        verdict = verdicts.of(key)
        assert verdict is not None
        assert verdict.confidence == Confidence.LOW
