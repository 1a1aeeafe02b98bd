"""What limits a model's calls besides money: configured rates, what was learned, and the policy.

Read with a model token's picture, in one short transaction; a picture is at most a second old, so
what one process learns and saves reaches the others soon.
"""

from dataclasses import dataclass

from tenants.registry import quotas
from tenants.registry.quotas import DEFAULT_POLICY, NOTHING_LEARNED, Learned, Policy
from tenants.registry.snapshots import Snapshot
from tenants.spend import rates
from tenants.spend.rates import RateLimit


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """What a model's calls have to keep to."""

    limits: tuple[RateLimit, ...] = ()
    learned: Learned = NOTHING_LEARNED
    policy: Policy = DEFAULT_POLICY


UNKNOWN = Traffic()


def load(snapshot: Snapshot) -> Traffic:
    """Read it from the database, inside the tenant's scope."""
    organization_id, workspace_id = snapshot.organization.id, snapshot.workspace.id
    return Traffic(
        rates.configured(
            organization_id=organization_id,
            workspace_id=workspace_id,
            key_id=snapshot.key.id,
            model_id=snapshot.model.id,
        ),
        quotas.learned(organization_id, snapshot.key.quota_code, snapshot.model.canonical_model),
        quotas.policy(organization_id, workspace_id),
    )
