"""An organization that has a row in every tenant table, made through the doors and the meter."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from tenants.access.models import TenantRequest
from tenants.accounting.models import Observed, SyncRun
from tenants.assistance.models import CorrectionRequest, FactorReset, SupportSession
from tenants.billing.models import BillingProfile, Plan
from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.months import Month
from tenants.keys.models import KeyProbe, KeyReplacement, KeyVerdict, SpentEnvelope
from tenants.notices.models import MutedKind, Notice
from tenants.onboarding.models import Confirmation
from tenants.organizations import outbox
from tenants.organizations.models import Announcement, ErasureCertificate, FormerTimeZone
from tenants.registry.models import ProviderResource, Publication, QuotaRecord, TrafficPolicy
from tenants.spend import corrections
from tenants.spend.calls import Category, UnpricedPolicy
from tenants.spend.corrections import Difference
from tenants.spend.meter import Meter
from tenants.spend.models import (
    BatchJob,
    LearnedOutput,
    Limit,
    LimitExtension,
    RateCount,
    ThresholdAlert,
)
from tenants.spend.own_prices import OwnPrice, price_by_base, report_prices
from tenants.spend.policies import Policy
from tenants.spend.pricing import Meter as Metered
from tenants.spend.services import set_limit, set_policy, set_retention
from tests import factories
from tests.api import world
from tests.factories import ACTOR
from tests.spend import made


@pytest.fixture(scope="module")
def populated():
    """An organization with a row of everything, for those who only look or are refused."""
    organization = factories.organization()
    hers = world.whole_world(organization)
    set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(500)
    )
    meter = Meter()
    calls = [
        made.intent(organization, hers.workspace, model_id=hers.model.id, key_id=hers.key.id)
        for _ in range(2)
    ]
    meter.open_calls(calls)
    meter.settle_calls([made.settlement(calls[0])])
    made.roll_up(organization)
    with scope.tenant(organization.id):
        LearnedOutput.objects.create(
            organization=organization,
            mistral_model="mistral-small-2603",
            tokens=100,
            calls=200,
            learned_at=timezone.now(),
        )
        ThresholdAlert.objects.create(
            organization=organization,
            limit=Limit.objects.get(),
            period=calls[0].period,
            threshold=50,
        )
    set_policy(actor=ACTOR, workspace=hers.workspace, policy=Policy(UnpricedPolicy.ALLOW))
    set_retention(actor=ACTOR, organization=organization, months=24)
    report_prices(
        actor=ACTOR,
        organization=organization,
        prices=[OwnPrice("mistral-small-2603", Metered.INPUT, "EUR", Decimal(1), 1_000_000)],
        at=timezone.now(),
        source="a test",
        checksum="none",
    )
    price_by_base(
        actor=ACTOR, organization=organization, mistral_model="ft:mistral-small-2603:x:20260101:a"
    )
    corrections.post_correction(
        actor=ACTOR,
        organization=organization,
        month=Month.of(timezone.now(), organization.timezone),
        difference=Difference(
            hers.workspace.id, Category.COMPLETION, "mistral-small-2603", Decimal(1), {}
        ),
        reason="a test",
        reference="once",
    )
    with scope.tenant(organization.id):
        ErasureCertificate.objects.create(
            organization=organization,
            erased_at=timezone.now(),
            data_keys_destroyed=0,
            keys_shredded=0,
            tokens_revoked=0,
            retained=[],
            digest="none",
        )
        FormerTimeZone.objects.create(
            organization=organization, timezone="Europe/Paris", until=timezone.now()
        )
        run = SyncRun.objects.create(organization=organization, is_dry=True)
        Observed.objects.create(
            organization=organization, kind="key", external_id="k", data={}, last_run=run
        )
        outbox.announce(organization_id=organization.id, kind="member.joined", data={})
        Notice.objects.create(
            organization=organization,
            announcement=Announcement.objects.get(kind="member.joined"),
            member=hers.member,
        )
        MutedKind.objects.create(organization=organization, member=hers.member, kind="alias.moved")
        ProviderResource.objects.create(
            organization=organization,
            workspace=hers.workspace,
            model=hers.model,
            token_id=new_id(),
            kind="file",
            mistral_id="file-1",
        )
        BatchJob.objects.create(
            organization=organization,
            workspace=hers.workspace,
            key=hers.key,
            model=hers.model,
            call_id=new_id(),
            token_id=new_id(),
            mistral_id="job-1",
            endpoint="/v1/chat/completions",
            requested_model="mistral-small-latest",
            period=timezone.now().date(),
            currency="EUR",
            gives_up_at=timezone.now() + timedelta(days=1),
        )
        KeyProbe.objects.create(
            organization=organization, key=hers.key, mistral_model="none", currency="EUR"
        )
        SupportSession.objects.create(
            organization=organization,
            person=hers.member.person,
            person_name="somebody",
            grant=hers.grant,
            reason="a test",
            ends_at=timezone.now(),
        )
        FactorReset.objects.create(
            organization=organization,
            person=hers.member.person,
            asked_by=hers.member.person,
            asked_by_name="somebody",
            ready_at=timezone.now(),
            expires_at=timezone.now(),
        )
        BillingProfile.objects.create(organization=organization, legal_name="Rossi Srl")
        Plan.objects.create(organization=organization)
        Confirmation.objects.create(organization=organization, step="phone")
        QuotaRecord.objects.create(
            organization=organization,
            quota_code="key:1",
            mistral_model="mistral-small-2603",
            observed_at=timezone.now(),
        )
        TrafficPolicy.objects.create(organization=organization, workspace=hers.workspace)
        Publication.objects.create(
            organization=organization,
            workspace=hers.workspace,
            model=hers.model,
            flavour="mistral",
            config_id="c1",
        )
        RateCount.objects.create(
            organization=organization,
            subject_kind="organization",
            subject_id=organization.id,
            period=timezone.now().date().replace(day=1),
        )
        KeyVerdict.objects.create(
            organization=organization, key=hers.key, status="valid", verdict_code="ok"
        )
        LimitExtension.objects.create(
            organization=organization,
            limit=Limit.objects.get(),
            former=1,
            amount=2,
            ends_at=timezone.now(),
            extended_by="a test",
        )
        CorrectionRequest.objects.create(
            organization=organization,
            workspace=hers.workspace,
            period=calls[0].period,
            category="completion",
            amount=Decimal(60),
            currency="EUR",
            reason="a test",
            asked_by=hers.member.person,
            asked_by_name="somebody",
            needs_second=True,
            expires_at=timezone.now(),
        )
        SpentEnvelope.objects.create(organization=organization, digest=b"e" * 32)
        KeyReplacement.objects.create(
            organization=organization,
            key=hers.key,
            last4="wxyz",
            fingerprint=b"w" * 32,
            sealed=b"no box",
            secret_version=2,
            secret_at=timezone.now(),
            data_key_version=1,
            ends_at=timezone.now() + timedelta(minutes=1),
        )
        TenantRequest.objects.create(
            organization=organization,
            token_id=hers.token.id,
            key="once",
            fingerprint=b"f" * 32,
            request_id="r",
            claim=new_id(),
            claimed_until=timezone.now() + timedelta(minutes=1),
        )
    yield organization
    meter.close()
