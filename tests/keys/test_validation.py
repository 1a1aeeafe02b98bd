"""The worker asks Mistral about a key; every answer gives its verdict and its status."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.keys import expiry, services, verdicts
from tenants.keys.models import KeyStatus, MistralKey, VerdictCode
from tenants.keys.validation import validate
from tenants.organizations import services as organizations
from tenants.organizations.models import AuditEvent, DataKey, Organization
from tests.factories import ACTOR
from tests.keys.keyring import checked, fresh, name_of, registered, seconds_until, seen, set_back

ROME = ZoneInfo("Europe/Rome")
UNDECIDED = [
    ("rate_limited", "rate_limited", 429, "1300"),
    ("rate_limited_gateway", "rate_limited", 429, None),
    ("capacity", "mistral_unavailable", 429, "3505"),
    ("capacity_queue", "mistral_unavailable", 429, "3810"),
    ("capacity_503", "mistral_unavailable", 503, "3505"),
    ("internal_error", "mistral_unavailable", 500, "1000"),
    ("service_unavailable", "mistral_unavailable", 503, "3800"),
    ("backend_unreachable", "mistral_unavailable", 500, "1100"),
    ("bad_gateway", "mistral_unavailable", 502, None),
    ("gateway_timeout", "mistral_unavailable", 504, None),
    ("request_timeout", "mistral_unavailable", 408, None),
    ("hang", "mistral_unavailable", None, None),
    ("reset", "mistral_unavailable", None, None),
    ("cut_body", "mistral_unavailable", 200, None),
    ("garbage", "mistral_unavailable", 200, None),
    ("cut_json", "mistral_unavailable", 200, None),
    ("empty_body", "mistral_unavailable", 200, None),
    ("html_page", "mistral_unavailable", 200, None),
    ("wrong_shape", "mistral_unavailable", 200, None),
    ("no_route", "mistral_unavailable", 404, None),
    ("not_found", "mistral_unavailable", 404, None),
    ("forbidden", "wrong_workspace", 403, None),
]


@pytest.mark.parametrize("error", ["unauthorized", "invalid_api_key", "unauthorized_gateway"])
def test_an_unknown_key_is_invalid_after_one_delayed_recheck(workspace, made_up, error):
    key = checked(registered(workspace, made_up(behaviour={"error": error})))
    assert (key.status, key.verdict_code) == (KeyStatus.PENDING, VerdictCode.KEY_UNKNOWN)
    assert key.evidence["http_status"] == 401
    assert 170 < seconds_until(key.next_check_at) <= 180

    assert checked(key).checked_at == key.checked_at, "a check that is not due asks nothing"

    key = checked(set_back(key, next_check_at=1, secret_at=181))
    assert (key.status, key.verdict_code) == (KeyStatus.INVALID, VerdictCode.KEY_UNKNOWN)
    assert seconds_until(key.next_check_at) > 80_000


def test_a_fresh_key_that_mistral_learns_of_late_becomes_valid(workspace, made_up):
    plain = made_up(behaviour={"sequence": ["unauthorized"]})
    key = checked(registered(workspace, plain))
    assert key.status == KeyStatus.PENDING
    assert checked(set_back(key, next_check_at=1)).status == KeyStatus.VALID


def test_asking_again_at_once_does_not_condemn_a_fresh_key(workspace, made_up):
    key = checked(registered(workspace, made_up(behaviour={"error": "unauthorized"})))
    key = checked(services.request_validation(actor=ACTOR, key=key))
    assert (key.status, key.verdict_code) == (KeyStatus.PENDING, VerdictCode.KEY_UNKNOWN)


def test_an_old_key_that_was_never_checked_is_invalid_at_its_first_refusal(workspace, made_up):
    key = registered(workspace, made_up(behaviour={"error": "unauthorized"}))
    assert checked(set_back(key, secret_at=600)).status == KeyStatus.INVALID


@pytest.mark.parametrize(
    ("error", "status"),
    [("invalid_api_key", KeyStatus.INVALID), ("billing_inactive", KeyStatus.SUSPENDED)],
)
def test_a_working_key_is_taken_down_by_two_refusals_in_a_row(
    workspace, made_up, mistral, error, status
):
    plain = made_up()
    key = checked(registered(workspace, plain))
    mistral.state.change(name_of(plain), behaviour={"error": error})
    key = checked(set_back(key, next_check_at=1))
    assert (key.status, key.doubts) == (KeyStatus.VALID, 1)
    verdict = verdicts.of(key)
    assert verdict is not None
    assert verdict.code != VerdictCode.OK
    assert seconds_until(key.next_check_at) < 10, "it is asked again at once, not tomorrow"
    key = checked(set_back(key, next_check_at=1))
    assert (key.status, key.doubts) == (status, 0)


def test_one_odd_refusal_is_forgotten_once_mistral_accepts_the_key_again(
    workspace, made_up, mistral
):
    plain = made_up()
    key = checked(registered(workspace, plain))
    for _ in range(3):
        mistral.state.change(name_of(plain), behaviour={"error": "unauthorized"})
        key = checked(set_back(key, next_check_at=1))
        mistral.state.change(name_of(plain), behaviour={})
        key = checked(set_back(key, next_check_at=1))
        assert (key.status, key.doubts, key.verdict_code) == (KeyStatus.VALID, 0, "ok")


def test_a_key_that_expires_soon_or_is_new_is_checked_more_often(workspace, made_up):
    soon = timezone.now().date() + timedelta(days=3)
    for facts, hours in (({"expires_on": soon}, 5), ({}, 30)):
        key = registered(workspace, made_up(), **facts)
        key = checked(set_back(key, secret_at=3 * 86_400))
        assert seconds_until(key.next_check_at) <= hours * 3600
        assert seconds_until(key.next_check_at) >= 0.75 * hours * 3600


@pytest.mark.parametrize(
    "answer",
    [
        ("billing_inactive", "billing_inactive", 401, None),
        ("billing_inactive_403", "billing_inactive", 403, None),
        ("subscription_required", "subscription_required", 402, None),
        ("api_budget_exhausted", "spending_limit_reached", 402, "2303"),
        ("spending_limit_reached", "spending_limit_reached", 402, "2300"),
        ("workspace_spending_limit", "spending_limit_reached", 402, "2301"),
    ],
    ids=lambda answer: answer[0],
)
def test_plan_and_payment_suspend_a_key_even_a_fresh_one(workspace, made_up, answer):
    error, verdict, http_status, mistral_code = answer
    key = checked(registered(workspace, made_up(behaviour={"error": error})))
    assert (key.status, key.verdict_code) == (KeyStatus.SUSPENDED, verdict)
    assert key.evidence["http_status"] == http_status
    assert key.evidence["mistral_code"] == mistral_code
    assert 900 <= seconds_until(key.next_check_at) + 5 <= 1_135


@pytest.mark.parametrize("answer", UNDECIDED, ids=lambda answer: answer[0])
def test_what_says_nothing_about_the_key_leaves_a_new_key_pending(workspace, made_up, answer):
    error, verdict, http_status, mistral_code = answer
    key = checked(registered(workspace, made_up(behaviour={"error": error})))
    assert (key.status, key.verdict_code) == (KeyStatus.PENDING, verdict)
    assert key.evidence["http_status"] == http_status
    assert key.evidence["mistral_code"] == mistral_code
    assert key.attempts == 1
    assert 5 < seconds_until(key.next_check_at) < 13


@pytest.mark.parametrize("answer", UNDECIDED, ids=lambda answer: answer[0])
def test_what_says_nothing_about_the_key_never_takes_a_working_key_down(
    workspace, made_up, mistral, answer
):
    error, verdict, *_evidence = answer
    plain = made_up()
    key = checked(registered(workspace, plain))
    models = seen(key)
    mistral.state.change(name_of(plain), behaviour={"error": error})
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(attempts=50)
    key = checked(set_back(key, next_check_at=1))
    assert (key.status, key.verdict_code) == (KeyStatus.VALID, verdict)
    assert seen(key) == models


def test_a_mistral_that_cannot_be_connected_says_nothing_about_the_key(
    workspace, made_up, settings, unused_tcp_port
):
    settings.MISTRAL_API_URL = f"http://127.0.0.1:{unused_tcp_port}"
    key = checked(registered(workspace, made_up()))
    assert (key.status, key.verdict_code) == (KeyStatus.PENDING, VerdictCode.MISTRAL_UNAVAILABLE)
    assert key.evidence == {
        "cause": "not_reached",
        "confidence": "high",
        "http_status": None,
        "mistral_code": None,
        "correlation_id": None,
    }


def test_waits_double_and_a_new_key_is_unreachable_once_the_retries_are_used_up(workspace, made_up):
    key = registered(workspace, made_up(behaviour={"error": "service_unavailable"}))
    waits = []
    for attempt in range(1, 6):
        key = checked(set_back(key, next_check_at=1))
        assert (key.status, key.attempts) == (KeyStatus.PENDING, attempt)
        waits.append(seconds_until(key.next_check_at))
    for wait, least in zip(waits, (10, 20, 40, 80, 160), strict=True):
        assert least - 1 < wait <= least * 1.25
    key = checked(set_back(key, next_check_at=1))
    assert (key.status, key.verdict_code) == (
        KeyStatus.UNREACHABLE,
        VerdictCode.MISTRAL_UNAVAILABLE,
    )
    assert 3_590 < seconds_until(key.next_check_at) <= 4_500


def test_an_unreachable_key_becomes_valid_when_mistral_is_back(workspace, made_up, mistral):
    plain = made_up(behaviour={"error": "service_unavailable"})
    key = registered(workspace, plain)
    for _ in range(6):
        key = checked(set_back(key, next_check_at=1))
    assert key.status == KeyStatus.UNREACHABLE
    mistral.state.change(name_of(plain), behaviour={})
    key = checked(set_back(key, next_check_at=1))
    assert (key.status, key.attempts) == (KeyStatus.VALID, 0)


@pytest.mark.parametrize("error", ["rate_limited_retry_after", "service_unavailable_retry_after"])
def test_mistrals_own_wish_to_wait_is_honoured(workspace, made_up, settings, error):
    settings.KEY_TIMING = {**settings.KEY_TIMING, "retry": 0.1}
    key = checked(registered(workspace, made_up(behaviour={"error": error})))
    assert key.status == KeyStatus.PENDING
    assert 1.5 < seconds_until(key.next_check_at) <= 2.5


def test_a_key_past_its_own_date_expires_without_a_call(workspace, made_up, mistral):
    plain = made_up()
    key = registered(workspace, plain)
    with scope.tenant(key.organization_id):
        yesterday = timezone.now().date() - timedelta(days=2)
        MistralKey.objects.filter(pk=key.pk).update(expires_on=yesterday)
    key = checked(key)
    assert (key.status, key.verdict_code) == (KeyStatus.EXPIRED, VerdictCode.EXPIRED_LOCALLY)
    assert key.next_check_at is None
    assert mistral.state.calls(key=name_of(plain)) == []


def test_a_valid_key_is_looked_at_again_when_its_own_date_is_over(organization, workspace, made_up):
    today = timezone.localdate(timezone=ROME)
    key = checked(registered(workspace, made_up(), expires_on=today))
    assert key.status == KeyStatus.VALID
    midnight = expiry.ends_at(today, "Europe/Rome")
    assert key.next_check_at <= midnight
    later = checked(set_back(key, next_check_at=1))
    assert later.next_check_at <= midnight


def test_a_key_whose_box_does_not_open_is_undecryptable_without_a_call(workspace, made_up, mistral):
    plain = made_up()
    key = registered(workspace, plain)
    with scope.tenant(key.organization_id):
        box = bytearray(MistralKey.objects.get(pk=key.pk).sealed or b"")
        box[-1] ^= 1
        MistralKey.objects.filter(pk=key.pk).update(sealed=bytes(box))
    key = checked(key)
    assert (key.status, key.verdict_code) == (
        KeyStatus.UNDECRYPTABLE,
        VerdictCode.UNDECRYPTABLE,
    )
    assert mistral.state.calls(key=name_of(plain)) == []


def test_a_key_whose_data_key_is_destroyed_is_undecryptable(workspace, made_up):
    key = registered(workspace, made_up())
    with scope.tenant(key.organization_id):
        DataKey.objects.all().delete()
    assert checked(key).status == KeyStatus.UNDECRYPTABLE


def test_keys_of_an_archived_workspace_are_not_used(organization, made_up, mistral):
    workspace = organizations.create_workspace(
        actor=ACTOR, organization=organization, name="Archivio"
    )
    plain = made_up()
    key = registered(workspace, plain)
    organizations.archive_workspace(actor=ACTOR, workspace=workspace)
    key = checked(key)
    assert (key.status, key.claim, key.verdict_code) == (KeyStatus.PENDING, None, "")
    assert seconds_until(key.next_check_at) > 80_000
    assert mistral.state.calls(key=name_of(plain)) == []


def test_keys_of_a_suspended_organization_are_not_used(organization, workspace, made_up, mistral):
    plain = made_up()
    key = registered(workspace, plain)
    with scope.tenant(organization.id):
        Organization.objects.filter(pk=organization.id).update(status="suspended")
    checked(key)
    assert mistral.state.calls(key=name_of(plain)) == []


def test_a_change_of_status_is_audited_once_and_a_check_that_changes_nothing_is_not(
    workspace, made_up
):
    key = checked(registered(workspace, made_up()))
    checked(set_back(key, next_check_at=1))
    with scope.tenant(key.organization_id):
        events = AuditEvent.objects.filter(target_id=key.id).order_by("id")
        told = [(event.actor_kind, event.verb) for event in events]
    assert told == [("command", "key.registered"), ("worker", "key.valid")]


def test_nobody_elses_key_can_be_checked_under_a_false_organization(
    workspace, stranger, made_up, mistral
):
    plain = made_up()
    key = registered(workspace, plain)
    validate(stranger.id, key.id)
    assert fresh(key).status == KeyStatus.PENDING
    assert mistral.state.calls(key=name_of(plain)) == []


def test_a_replaced_secret_is_checked_as_a_new_one(workspace, made_up):
    key = checked(registered(workspace, made_up(behaviour={"error": "billing_inactive"})))
    assert key.status == KeyStatus.SUSPENDED
    other = made_up(organization="borea", workspace="main")
    key = services.replace_secret(actor=ACTOR, key=key, plain=Secret(other)).key
    assert (key.status, key.verdict_code, key.identity) == (KeyStatus.PENDING, "", None)
    key = checked(key)
    assert key.status == KeyStatus.VALID
    assert key.identity["organization"] == "Borea Logistica S.r.l."
