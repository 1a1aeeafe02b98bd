"""Every verdict says what happened, what it means and what to do, and never quotes Mistral."""

from dataclasses import replace

import pytest
from django.utils import timezone, translation

from tenants.keys import judgement, verdicts
from tenants.keys.models import KeyStatus, MistralKey, VerdictCode
from tenants.mistral.errors import ErrorClass, Retry, Scope, UpstreamFailure


def said(code, status=KeyStatus.VALID, **evidence) -> verdicts.Verdict:
    key = MistralKey(verdict_code=code, status=status, checked_at=timezone.now(), evidence=evidence)
    with translation.override("en"):
        verdict = verdicts.of(key)
    assert verdict is not None
    return verdict


@pytest.mark.parametrize("code", VerdictCode)
def test_every_code_has_whole_sentences(code):
    verdict = said(code)
    assert verdict.code == code
    assert not verdict.title.endswith((".", "!"))
    for text in (verdict.detail, verdict.next_step):
        assert text.endswith(".")
        assert text[0].isupper()
        assert "!" not in text


def test_no_two_codes_say_the_same():
    titles = {said(code, KeyStatus.INVALID).title for code in VerdictCode}
    assert len(titles) == len(VerdictCode)


@pytest.mark.parametrize(
    "code",
    [
        VerdictCode.BILLING_INACTIVE,
        VerdictCode.SUBSCRIPTION_REQUIRED,
        VerdictCode.SPENDING_LIMIT_REACHED,
    ],
)
def test_whose_money_is_missing_is_not_told_that_the_key_is_wrong(code):
    verdict = said(code, KeyStatus.SUSPENDED)
    assert "Mistral knows the key" in verdict.detail
    assert "https://admin.mistral.ai" in verdict.next_step


def test_included_usage_and_a_limit_somebody_set_ask_for_different_steps():
    limit = said(VerdictCode.SPENDING_LIMIT_REACHED, KeyStatus.SUSPENDED, mistral_code="2300")
    included = said(VerdictCode.SPENDING_LIMIT_REACHED, KeyStatus.SUSPENDED, mistral_code="2303")
    assert limit.code == included.code
    assert "pay-as-you-go" in included.next_step
    assert "pay-as-you-go" not in limit.next_step


def test_the_limit_of_a_workspace_leads_to_the_workspaces_and_not_to_the_organizations_bills():
    failure = UpstreamFailure(
        error_class=ErrorClass.SPENDING_LIMIT_REACHED,
        scope=Scope.ORGANIZATION,
        retry=Retry.AFTER_RESET,
        http_status=402,
        mistral_code="2301",
    )
    found = judgement.found(failure)
    verdict = said(found.code, KeyStatus.SUSPENDED, **found.evidence)
    assert verdict.cause == judgement.WORKSPACE_LIMIT
    assert "https://admin.mistral.ai/organization/workspaces" in verdict.next_step
    other = judgement.found(replace(failure, mistral_code="2300"))
    assert "/organization/billing" in said(other.code, KeyStatus.SUSPENDED).next_step


def test_a_fresh_key_is_told_to_wait_and_an_invalid_one_to_be_replaced():
    fresh = said(VerdictCode.KEY_UNKNOWN, KeyStatus.PENDING)
    wrong = said(VerdictCode.KEY_UNKNOWN, KeyStatus.INVALID)
    assert "Wait" in fresh.next_step
    assert "create a new one" in wrong.next_step


def test_a_working_key_that_was_refused_once_is_told_to_be_asked_again():
    verdict = said(VerdictCode.KEY_UNKNOWN, KeyStatus.VALID)
    assert "checked again" in verdict.next_step
    assert "stays valid" in verdict.detail


def test_an_unreachable_key_is_not_told_that_it_keeps_the_state_it_had():
    undecided = said(VerdictCode.MISTRAL_UNAVAILABLE, KeyStatus.VALID)
    unreachable = said(VerdictCode.MISTRAL_UNAVAILABLE, KeyStatus.UNREACHABLE)
    assert "keeps the state" in undecided.detail
    assert "keeps the state" not in unreachable.detail


def test_before_its_first_check_a_key_has_no_verdict():
    assert verdicts.of(MistralKey()) is None
