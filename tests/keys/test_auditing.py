"""The nightly audit finds secrets that do not open, and touches nothing else."""

import pytest

from tenants.common import scope
from tenants.keys import auditing
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations import boxes, walking
from tenants.organizations.models import DataKey
from tenants.vault.distant import KeyringUnavailableError
from tests import factories
from tests.keys.keyring import checked, fresh, registered, set_back


@pytest.fixture(autouse=True)
def _short_walk(monkeypatch, organization, stranger):
    """Meet no organization of another test on the way."""
    monkeypatch.setattr(
        walking, "organization_ids", lambda _turn: iter([organization.pk, stranger.pk])
    )


def mine(found, *organizations):
    return {pair for pair in found if pair[0] in {one.pk for one in organizations}}


def test_a_secret_that_does_not_open_is_found_and_its_check_says_so(
    organization, workspace, made_up, mistral
):
    good = checked(registered(workspace, made_up()))
    bad = checked(registered(workspace, made_up()))
    with scope.tenant(organization.pk):
        MistralKey.objects.filter(pk=bad.pk).update(sealed=bytes(good.sealed))
    calls = len(mistral.state.calls())
    assert mine(auditing.find_unopened(), organization) == {(organization.pk, bad.pk)}
    assert checked(bad).status == KeyStatus.UNDECRYPTABLE
    assert fresh(good).next_check_at == good.next_check_at
    assert len(mistral.state.calls()) == calls, "nothing is sent anywhere"
    assert mine(auditing.find_unopened(), organization) == set(), "what is known is not told again"


def test_without_its_data_key_every_secret_of_an_organization_is_found(
    organization, workspace, stranger, made_up
):
    keys = {registered(workspace, made_up()).pk for _ in range(2)}
    registered(factories.default_workspace(stranger), made_up())
    with scope.tenant(organization.pk):
        DataKey.objects.all().delete()
    found = mine(auditing.find_unopened(), organization, stranger)
    assert found == {(organization.pk, key) for key in keys}


def test_while_the_key_service_does_not_answer_no_secret_is_taken_for_lost(
    organization, workspace, made_up, monkeypatch
):
    key = checked(registered(workspace, made_up()))

    def away(*_args):
        raise KeyringUnavailableError("away")

    monkeypatch.setattr(boxes.Box, "open", away)
    assert mine(auditing.find_unopened(), organization) == set()
    after = fresh(key)
    assert (after.status, after.next_check_at) == (KeyStatus.VALID, key.next_check_at)


def test_what_opens_again_becomes_what_it_was(organization, workspace, made_up):
    key = checked(registered(workspace, made_up()))
    box = bytes(key.sealed)
    for sealed, status in ((b"no box", KeyStatus.UNDECRYPTABLE), (box, KeyStatus.VALID)):
        with scope.tenant(organization.pk):
            MistralKey.objects.filter(pk=key.pk).update(sealed=sealed)
        assert checked(set_back(key, next_check_at=1)).status == status
