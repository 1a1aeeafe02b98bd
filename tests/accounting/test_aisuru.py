"""A month against AIsuru's own consumption: asked for by a worker, compared by model."""

from datetime import UTC, datetime

import pytest

from aisuru_mistral.simulator.aisuru import WELL_KNOWN_LOGINS
from tenants.accounting.consuming import figures_of
from tenants.accounting.reconciling import carry
from tenants.aisuru.consumption import Consumption
from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.registry.connections import set_connection
from tenants.registry.models import RegisteredModel
from tenants.spend.meter import Meter
from tests.api.world import with_login
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import intent, settlement


@pytest.fixture
def meter():
    metered = Meter()
    yield metered
    metered.close()


@pytest.fixture
def aisuru(simulator, settings, hers):
    """AIsuru's backend, where Alice's organization is the tenant Aurora."""
    settings.AISURU_API_URL = f"{simulator.url}/api/v2"
    connect(hers, "aurora.admin")
    return simulator.state.aisuru


def connect(hers, name, tenant="www.aurora.example"):
    token = next(login.token for login in WELL_KNOWN_LOGINS if login.name == name)
    set_connection(actor=ACTOR, organization=hers.organization, plain=Secret(token), tenant=tenant)


def asked(hers, alice, month="2026-10"):
    """Have AIsuru asked, as a worker would until it is over."""
    path = f"organizations/{hers.organization.pk}/reconciliations"
    answer = alice.post(path, {"month": month, "source": "aisuru"})
    assert answer.status == 202, answer.raw
    for _ in range(10):
        carry(hers.organization.pk, answer.body["id"])
    return alice.get(answer.headers["Location"]).body


def used(**tokens):
    return {
        "from": "2026-10-01T00:00:00Z",
        "type": "Monthly",
        "memoriName": "Ada",
        "promptTokens": dict.fromkeys(tokens, 0) | {name: n[0] for name, n in tokens.items()},
        "completionTokens": {name: n[1] for name, n in tokens.items()},
    }


def test_aisuru_is_asked_for_its_consumption_and_compared_by_model(hers, alice, aisuru, meter):
    call = intent(
        hers.organization,
        hers.workspace,
        model_id=hers.model.pk,
        call_id=made.id_at(datetime(2026, 10, 3, tzinfo=UTC)),
    )
    meter.open_calls([call])
    meter.settle_calls([settlement(call, "0.40")])
    aisuru.logs["www.aurora.example"] = [
        used(Assistente=(120, 30), gpt=(9, 9)),
        used(Assistente=(5, 0)),
    ]
    found = asked(hers, alice)
    assert (found["status"], found["failure"]) == ("open", None)
    (line,) = found["lines"]
    assert line["workspace_id"] == str(hers.workspace.pk)
    assert line["mistral_model"] == "mistral-small-2603"
    assert (line["theirs"], line["difference"]) == (None, None)
    assert line["quantities"]["input"]["theirs"] == "125"
    assert line["quantities"]["output"]["theirs"] == "30"
    assert int(line["quantities"]["input"]["ours"]) > 0
    assert found["totals"]["skipped"] == 1, "gpt is none of ours"
    assert "{token}" in aisuru.asked[-1]


@pytest.mark.parametrize(
    ("login", "code"),
    [
        ("aurora.late", "aisuru_login_refused"),
        ("aurora.user", "aisuru_refused"),
        ("aurora.admin", "aisuru_away"),
    ],
)
def test_what_aisuru_does_not_tell_is_a_failure_with_a_next_step(hers, alice, aisuru, login, code):
    connect(hers, login)
    aisuru.dictate(*["unavailable"] * (10 if code == "aisuru_away" else 0))
    found = asked(hers, alice)
    assert (found["status"], found["failure"]["code"]) == ("failed", code)
    assert found["failure"]["detail"]


def test_aisuru_away_for_a_moment_is_asked_again(hers, alice, aisuru):
    aisuru.dictate("unavailable", "garbage")
    assert asked(hers, alice)["status"] == "open"


def test_aisuru_is_not_asked_without_a_login_a_tenant_or_an_address(hers, alice, settings):
    path = f"organizations/{hers.organization.pk}"
    body = {"month": "2026-10", "source": "aisuru"}
    with_login(hers)
    assert alice.post(f"{path}/reconciliations", body).code == "aisuru_tenant_missing"
    assert alice.delete(f"{path}/aisuru-connection").status == 204
    assert alice.post(f"{path}/reconciliations", body).code == "aisuru_connection_missing"
    settings.AISURU_API_URL = None
    refused = alice.post(f"{path}/reconciliations", body)
    assert (refused.status, refused.code) == (503, "aisuru_not_configured")


def test_what_aisuru_counts_for_a_model_is_placed_by_its_snapshot_of_now(hers):
    with scope.tenant(hers.organization.pk):
        RegisteredModel.objects.update(snapshot="mistral-medium-3-5")
        rows, skipped = figures_of([Consumption("Ada", hers.model.name, 10, 5, 1)])
    assert ([row["model"] for row in rows], skipped) == (["mistral-medium-3-5"], 0)
