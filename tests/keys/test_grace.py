"""A new secret with a grace: the old one serves until the new one works, or the grace ends."""

from datetime import datetime

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.common.problems import Conflict, Invalid
from tenants.common.secrets import Secret
from tenants.keys import custody, services, validation, verdicts
from tenants.keys.models import KeyReplacement, KeyStatus, MistralKey, VerdictCode
from tenants.organizations.models import Announcement, AuditEvent
from tests.factories import ACTOR
from tests.keys.keyring import checked, fresh, name_of, registered, set_back

HOUR = 3600


def replaced(key, plain, grace=HOUR, **facts):
    return services.replace_secret(
        actor=ACTOR, key=key, plain=Secret(plain), grace_seconds=grace, **facts
    )


def waiting(key):
    with scope.tenant(key.organization_id):
        return KeyReplacement.objects.filter(key=key).first()


def serving(key) -> str:
    with scope.tenant(key.organization_id):
        return custody.borrow(MistralKey.objects.get(pk=key.pk)).reveal()


def end_grace(key):
    with scope.tenant(key.organization_id):
        KeyReplacement.objects.filter(key=key).update(ends_at=timezone.now())
    return set_back(key, next_check_at=1)


def verbs(key):
    with scope.tenant(key.organization_id):
        return list(AuditEvent.objects.filter(target_id=key.pk).values_list("verb", flat=True))


def told(key):
    with scope.tenant(key.organization_id):
        rows = Announcement.objects.filter(data__key_id=str(key.pk)).exclude(kind="key.validated")
        return list(rows.order_by("id").values_list("kind", "data"))


@pytest.fixture
def old(made_up):
    return made_up()


@pytest.fixture
def key(workspace, old):
    return checked(registered(workspace, old))


def test_the_old_secret_serves_until_the_new_one_is_accepted(key, old, made_up):
    new = made_up()
    assert replaced(key, new).created
    assert (serving(key), fresh(key).status) == (old, KeyStatus.VALID)
    assert waiting(key).status == KeyStatus.PENDING

    after = checked(key)

    assert (serving(key), after.status, after.last4) == (new, KeyStatus.VALID, new[-4:])
    assert (after.secret_version, after.verdict_code) == (2, VerdictCode.OK)
    assert waiting(key) is None
    assert "key.secret_replaced" in verbs(key)


def test_a_new_secret_that_mistral_refuses_leaves_the_old_one_serving_and_says_so(
    key, old, made_up
):
    replaced(key, made_up(behaviour={"error": "unauthorized"}))
    after = checked(key)
    assert (serving(key), after.status, after.verdict_code) == (old, KeyStatus.VALID, "ok")
    refused = waiting(key)
    verdict = verdicts.of(refused)
    assert verdict is not None
    assert (verdict.code, refused.status) == (VerdictCode.KEY_UNKNOWN, KeyStatus.PENDING)

    with scope.tenant(key.organization_id):
        KeyReplacement.objects.filter(key=key).update(secret_at=key.created_at.replace(year=2020))
    after = checked(set_back(key, next_check_at=1))
    assert (serving(key), after.status) == (old, KeyStatus.VALID)
    assert waiting(key).status == KeyStatus.INVALID
    assert verdicts.of_waiting(waiting(key)) != verdicts.of_waiting(KeyReplacement())
    assert after.next_check_at <= waiting(key).ends_at, "the end of the grace is not slept through"


def test_a_new_secret_that_is_accepted_late_takes_over_then(key, made_up, mistral):
    new = made_up(behaviour={"error": "unauthorized"})
    replaced(key, new)
    checked(key)
    mistral.state.change(name_of(new), behaviour={})
    assert checked(set_back(key, next_check_at=1)).status == KeyStatus.VALID
    assert serving(key) == new


def test_at_the_end_of_the_grace_the_new_secret_takes_over_whatever_it_is(key, made_up):
    new = made_up(behaviour={"error": "billing_inactive"})
    replaced(key, new)
    checked(key)
    after = checked(end_grace(key))
    assert (serving(key), after.status) == (new, KeyStatus.SUSPENDED)
    assert waiting(key) is None


def test_when_the_old_secret_can_serve_no_longer_the_new_one_takes_over_at_once(key, made_up):
    new = made_up()
    replaced(key, new)
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(sealed=b"no box")
    assert checked(key).status == KeyStatus.VALID
    assert serving(key) == new


def test_where_the_old_secret_serves_no_calls_a_grace_is_nothing(workspace, made_up):
    key = registered(workspace, made_up(behaviour={"error": "billing_inactive"}))
    assert checked(key).status == KeyStatus.SUSPENDED
    new = made_up()
    replaced(key, new)
    assert (serving(key), fresh(key).status) == (new, KeyStatus.PENDING)


def test_the_old_secret_sent_again_takes_the_waiting_one_back(key, old, made_up):
    replaced(key, made_up())
    assert not replaced(key, old).created
    assert waiting(key) is None
    assert "key.replacement_withdrawn" in verbs(key)
    checked(set_back(key, next_check_at=1))
    assert serving(key) == old


def test_a_second_new_secret_takes_the_place_of_the_first_under_a_version_of_its_own(key, made_up):
    first, second = made_up(), made_up()
    replaced(key, first)
    assert not replaced(key, first).created, "the same again changes nothing"
    replaced(key, second)
    assert waiting(key).secret_version == 3
    checked(key)
    assert (serving(key), fresh(key).secret_version) == (second, 3)


def test_without_a_grace_the_new_secret_serves_at_once_and_nothing_waits_on(key, made_up):
    replaced(key, made_up())
    new = made_up()
    replaced(key, new, grace=0)
    assert (serving(key), fresh(key).status, waiting(key)) == (new, KeyStatus.PENDING, None)


def test_the_expiry_date_is_the_serving_secrets_own(workspace, made_up):
    day = timezone.now().date().replace(year=2099, day=1)
    key = checked(registered(workspace, made_up(), expires_on=day))
    replaced(key, made_up())
    assert fresh(key).expires_on == day
    assert checked(key).expires_on is None


def test_a_secret_that_waits_belongs_to_its_key_already(key, workspace, made_up):
    new = made_up()
    replaced(key, new)
    other = registered(workspace, made_up())
    with pytest.raises(Conflict) as refusal:
        replaced(other, new)
    assert refusal.value.code == "key_duplicate"
    again = services.register_key(actor=ACTOR, workspace=workspace, plain=Secret(new))
    assert (again.created, again.key.pk) == (False, key.pk)


def test_a_secret_that_has_become_another_keys_meanwhile_does_not_take_over(
    key, old, workspace, made_up
):
    replaced(key, made_up())
    fingerprint = waiting(key).fingerprint
    other = registered(workspace, made_up())
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=other.pk).update(fingerprint=fingerprint)
    after = checked(key)
    assert (serving(key), after.status, waiting(key)) == (old, KeyStatus.VALID, None)
    assert "key.replacement_withdrawn" in verbs(key)
    assert "key.secret_replaced" not in verbs(key)


def test_a_waiting_secret_that_does_not_open_is_sent_nowhere_and_the_old_one_serves(
    key, old, made_up, mistral
):
    new = made_up()
    replaced(key, new)
    with scope.tenant(key.organization_id):
        KeyReplacement.objects.filter(key=key).update(sealed=b"no box")
    after = checked(key)
    assert (serving(key), after.status) == (old, KeyStatus.VALID)
    assert waiting(key).verdict_code == VerdictCode.UNDECRYPTABLE
    assert name_of(new) not in {call.key_name for call in mistral.state.calls()}


def test_deleting_the_key_shreds_what_waits(key, made_up):
    replaced(key, made_up())
    services.delete_key(actor=ACTOR, key=key)
    assert waiting(key) is None


def test_a_check_whose_claim_was_lost_moves_nothing(key, old, made_up, monkeypatch):
    replaced(key, made_up())

    def lost(*_args):
        with scope.tenant(key.organization_id):
            MistralKey.objects.filter(pk=key.pk).update(claim=None)
        return original(*_args)

    original = validation._ask
    monkeypatch.setattr(validation, "_ask", lost)
    checked(key)
    assert serving(key) == old
    assert waiting(key) is not None


@pytest.mark.parametrize("grace", [-1, 30 * 86_400 + 1])
def test_a_grace_out_of_range_is_refused(key, old, made_up, grace):
    with pytest.raises(Invalid) as refusal:
        replaced(key, made_up(), grace=grace)
    assert refusal.value.code == "grace_out_of_range"
    assert (serving(key), waiting(key)) == (old, None)


def test_that_mistral_refuses_the_new_secret_is_announced_once_and_before_it_takes_over(
    key, made_up
):
    new = made_up(behaviour={"error": "unauthorized"})
    replaced(key, new)
    checked(key)
    assert told(key) == [], "a fresh key may be unknown for a while"
    with scope.tenant(key.organization_id):
        KeyReplacement.objects.filter(key=key).update(secret_at=key.created_at.replace(year=2020))
    checked(set_back(key, next_check_at=1))
    checked(set_back(key, next_check_at=1))

    ((kind, data),) = told(key)

    assert kind == "key.replacement_refused"
    assert (data["last4"], data["replacement_last4"]) == (key.last4, new[-4:])
    assert (data["status"], data["code"]) == ("invalid", "key_unknown")
    assert datetime.fromisoformat(data["grace_ends_at"]) == waiting(key).ends_at


def test_a_refusal_is_announced_at_once_where_the_grace_ends_before_another_look(key, made_up):
    replaced(key, made_up(behaviour={"error": "unauthorized"}), grace=15)
    checked(key)
    assert [kind for kind, _data in told(key)] == ["key.replacement_refused"]


def test_the_next_new_secret_that_is_refused_is_announced_anew(key, made_up):
    for _once in range(2):
        replaced(key, made_up(behaviour={"error": "billing_inactive"}))
        checked(key)
    assert [kind for kind, _data in told(key)] == ["key.replacement_refused"] * 2


def test_it_is_announced_anew_also_where_the_one_before_was_taken_back(key, old, made_up):
    for _once in range(2):
        replaced(key, made_up(behaviour={"error": "billing_inactive"}))
        checked(key)
        replaced(key, old)
    assert [kind for kind, _data in told(key)] == ["key.replacement_refused"] * 2


def test_that_nothing_is_learned_of_the_new_secret_is_no_refusal(key, made_up):
    replaced(key, made_up(behaviour={"error": "rate_limited"}), grace=15)
    checked(key)
    assert told(key) == []
