"""The login at AIsuru: refused, removed, unreadable, secret, and everything that needs it."""

import logging

import pytest

from aisuru_mistral.simulator.aisuru import Login
from tenants.common import scope
from tenants.common.problems import Conflict, Invalid, Unavailable
from tenants.registry import connections, publications
from tenants.registry.failures import Failure
from tenants.registry.models import (
    AisuruConnection,
    ConnectionStatus,
    PublicationStatus,
)
from tests.factories import ACTOR
from tests.keys.test_secrecy import assert_absent, everything_stored
from tests.registry.published import (
    PUBLISHED,
    aisuru,
    carried,
    connect,
    due,
    key,
    login_of,
    model,
    publish,
    standing,
)
from tests.registry.steps import create

__all__ = ["aisuru", "key", "model"]


def test_nothing_is_published_without_a_login_or_without_aisuru(workspace, key, aisuru, settings):
    made = create(workspace, key=key)[0]
    with pytest.raises(Conflict) as refusal:
        publications.publish_model(actor=ACTOR, model=made)
    assert refusal.value.code == "aisuru_connection_missing"
    settings.AISURU_API_URL = None
    with pytest.raises(Unavailable) as fault:
        publications.publish_model(actor=ACTOR, model=made)
    assert fault.value.code == "aisuru_not_configured"


@pytest.mark.parametrize(
    "plain",
    [
        *("", "short", "with a space inside", "x" * 501, "tab\tinside.."),
        *("****-0001", "*" * 28 + "0001", "." * 28 + "0001", "768b...0001"),
    ],
)
def test_what_cannot_be_a_login_token_is_refused_and_not_quoted(organization, plain):
    with pytest.raises(Invalid) as refusal:
        connect(organization, plain)
    assert refusal.value.code == "login_token_malformed"
    assert not plain or plain not in f"{refusal.value} {refusal.value.errors}"


def test_a_login_in_use_is_removed_by_force_only_and_what_was_published_says_so(model, aisuru):
    publish(model)
    with pytest.raises(Conflict) as refusal:
        connections.remove_connection(actor=ACTOR, organization=model.organization)
    assert (refusal.value.code, refusal.value.members) == (
        "aisuru_connection_in_use",
        {"models": 1},
    )
    connections.remove_connection(actor=ACTOR, organization=model.organization, force=True)
    row = standing(model)
    assert (row.status, row.failure) == (PublicationStatus.FAILED, Failure.CONNECTION_MISSING)
    connect(model.organization)
    assert carried(model).status == PUBLISHED


def test_a_login_that_does_not_open_is_said_to(model, aisuru):
    with scope.tenant(model.organization_id):
        AisuruConnection.objects.update(sealed=b"no box")
    row = publish(model)
    assert row.failure == Failure.CONNECTION_UNDECRYPTABLE
    assert login_of(model.organization).status == ConnectionStatus.UNDECRYPTABLE


def test_the_canary_is_nowhere(model, aisuru, caplog):
    """The login token and AIsuru's model token: in no log, table, queue or announcement."""
    caplog.set_level(logging.DEBUG)
    canary = "canary-login-4f1d0c9e-7a66"
    aisuru.logins[canary] = Login("canary", "x", canary, "www.aurora.example", is_admin=True)
    connect(model.organization, canary)
    publications.publish_model(actor=ACTOR, model=model)
    for fault in ("unavailable", "garbage", "expired", "reset", "busy"):
        aisuru.dictate(fault)
        carried(model)
        due(model)
    row = publish(model)
    assert row.status == PUBLISHED, "the canary was really used"
    config = aisuru.named("Assistente")
    carried(model)
    stored = everything_stored()
    assert str(row.pk) in stored
    for secret in (canary, config["apiKey"]):
        assert_absent(secret, stored, caplog.text, *(str(vars(one)) for one in caplog.records))
    assert not any(canary in one for one in aisuru.asked)
