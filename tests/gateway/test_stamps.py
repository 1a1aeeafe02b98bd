"""A token's stamp changes with everything that its picture is read from, and with nothing else."""

import re
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenants.common import scope, tokens
from tenants.gateway import snapshots
from tenants.keys.models import MistralKey, SeenModel
from tenants.organizations.models import DataKey, Organization, Workspace
from tenants.registry import quotas
from tenants.registry import snapshots as registry
from tenants.registry.models import ModelToken, RegisteredModel, TrafficPolicy
from tenants.registry.quotas import Observation
from tenants.spend import policies, rates, services
from tenants.spend.calls import UnpricedPolicy
from tenants.spend.models import LearnedOutput
from tenants.spend.policies import Policy
from tenants.spend.rates import Rates
from tests.factories import ACTOR
from tests.gateway import tenancy
from tests.spend import made

#: Prices are dated, and have an age of their own.
BESIDE = {"spend_price", "spend_organizationprice", "spend_basepricing"}
#: Queries of a picture that Django's own log of queries does not see.
PREPARED = (
    registry._LIVE_TOKEN,
    rates._CONFIGURED,
    quotas._LEARNED,
    quotas._POLICY,
    policies._CHOSEN,
    policies._LEARNED,
)


@pytest.fixture
def tenant(made_up):
    return tenancy.make(made_up)


def stamp(tenant, picture=None):
    digest = tokens.digest(tenant.token)
    return snapshots.stamps_of({digest: picture or read(tenant)}).get(digest)


def read(tenant):
    picture = snapshots.load(tokens.digest(tenant.token))
    assert picture is not None
    return picture


def update(model, **values):
    """Change every row that the tenant's token could mean."""

    def change(tenant):
        with scope.tenant(tenant.organization.id):
            assert model.objects.update(**values)

    return change


def set_rates(kind):
    def change(tenant):
        services.set_limit(
            actor=ACTOR,
            organization=tenant.organization,
            subject=getattr(tenant, kind),
            monthly_spend=None,
            rates=Rates(requests_per_second=Decimal(2)),
        )

    return change


def learn(tenant):
    snapshot = read(tenant).snapshot
    seen = Observation(
        snapshot.key.quota_code, snapshot.model.canonical_model, [], {}, 3.0, timezone.now(), None
    )
    quotas.save(tenant.organization.id, [seen])


def choose(tenant):
    chosen = Policy(UnpricedPolicy.ALLOW, 700)
    services.set_policy(actor=ACTOR, workspace=tenant.workspace, policy=chosen)


def learn_output(tenant):
    model = read(tenant).snapshot.model.canonical_model
    with scope.tenant(tenant.organization.id):
        LearnedOutput.objects.create(
            organization_id=tenant.organization.id,
            mistral_model=model,
            tokens=300,
            calls=100,
            learned_at=timezone.now(),
        )


def wish(tenant):
    with scope.tenant(tenant.organization.id):
        TrafficPolicy.objects.create(
            organization_id=tenant.organization.id, workspace_id=tenant.workspace.id, failover=True
        )


CHANGES = {
    "organization": update(Organization, timezone="America/New_York"),
    "workspace": update(Workspace, archived_at=timezone.now()),
    "model": update(RegisteredModel, context_size=1000),
    "key": update(MistralKey, expires_on=date(2199, 1, 1)),
    "token": update(ModelToken, expires_at=timezone.now() + timedelta(days=9)),
    "data key": update(DataKey, created_at=timezone.now()),
    "seen model": update(SeenModel, context_length=9),
    "rates of the organization": set_rates("organization"),
    "rates of the workspace": set_rates("workspace"),
    "rates of the key": set_rates("key"),
    "rates of the model": set_rates("model"),
    "quota": learn,
    "wishes of the workspace": wish,
    "choices of the workspace": choose,
    "length of answers": learn_output,
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_stamp_changes_with_what_a_call_depends_on(tenant, what):
    before = stamp(tenant)
    assert before is not None
    assert stamp(tenant) == before
    CHANGES[what](tenant)
    assert stamp(tenant) not in {before, None}


def test_what_goes_changes_it_too(tenant):
    set_rates("model")(tenant)
    before = stamp(tenant)
    made.as_owner("DELETE FROM spend_limit WHERE subject_id = %s", tenant.model.pk)
    assert stamp(tenant) != before


@pytest.mark.parametrize(
    "end",
    [{"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(seconds=1)}],
    ids=["revoked", "over"],
)
def test_a_token_that_opens_nothing_any_more_has_none(tenant, end):
    picture = read(tenant)
    with scope.tenant(tenant.organization.id):
        ModelToken.objects.update(**end)
    assert stamp(tenant, picture) is None


def test_what_others_do_changes_nothing(tenant, made_up):
    before = stamp(tenant)
    other = tenancy.make(made_up)
    for what in ("organization", "key", "choices of the workspace", "rates of the model"):
        CHANGES[what](other)
    assert stamp(tenant) == before
    assert stamp(other) != before


def test_tokens_of_many_tenants_are_asked_about_together_and_strangers_have_none(tenant, made_up):
    pictures = {
        tokens.digest(one.token): read(one)
        for one in (tenant, *(tenancy.make(made_up) for _ in range(3)))
    }
    stranger = {b"x" * 32: read(tenant)}
    found = snapshots.stamps_of(pictures | stranger)
    assert set(found) == set(pictures)
    assert len(set(found.values())) == len(pictures)


def test_nothing_that_a_picture_is_read_from_is_missing_in_its_stamp(tenant):
    """Every table that reading one touches is named by the function, or an exception here."""
    with CaptureQueriesContext(connection) as queries:
        read(tenant)
    statements = [query["sql"] for query in queries]
    for prepared in PREPARED:
        assert prepared._compiled is not None, "it was not asked"
        statements.append(str(prepared._compiled._statement))
    tables = set(re.findall(r'"([a-z]+_[a-z]+)"', " ".join(statements)))
    tables &= set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'spend_token_stamps'")
        (source,) = cursor.fetchone()
    assert len(tables) > 10
    assert {table for table in tables - BESIDE if table not in source} == set()


def test_a_picture_holds_while_its_stamp_and_the_clock_say_so(tenant):
    picture = read(tenant)
    assert not snapshots.still_holds(picture, stamp(tenant))  # nobody knows what it was before
    picture.stamp = stamp(tenant)
    assert snapshots.still_holds(picture, picture.stamp)
    assert not snapshots.still_holds(picture, None)
    assert not snapshots.still_holds(picture, picture.stamp + 1)
    picture.is_closed_for_now = True
    assert not snapshots.still_holds(picture, picture.stamp)


def test_a_picture_ends_with_the_day_of_its_key(tenant, monkeypatch):
    today = timezone.localdate(timezone=ZoneInfo(tenant.organization.timezone))
    with scope.tenant(tenant.organization.id):
        MistralKey.objects.update(expires_on=today)
    picture = read(tenant)
    picture.stamp = stamp(tenant)
    assert snapshots.still_holds(picture, picture.stamp)
    later = timezone.now() + timedelta(days=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert not snapshots.still_holds(picture, picture.stamp)
