"""Answers what a workspace has chosen about money, and how long answers were learned to be."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from tenants.common import scope
from tenants.common.prepared import Prepared
from tenants.spend.calls import UnpricedPolicy
from tenants.spend.models import LearnedOutput, WorkspacePolicy


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for the calls of one workspace.

    Attributes:
        unpriced: what happens under a limit to calls of unknown price.
        default_output_tokens: what is held for the answer of a request without a cap; None: what
            was learned for the model, else the service's default.
    """

    unpriced: UnpricedPolicy = UnpricedPolicy.REFUSE
    default_output_tokens: int | None = None


def read(organization_id: UUID, workspace_id: UUID) -> Policy:
    """Read a workspace's policy as it is now."""
    with scope.tenant(organization_id):
        return find(organization_id, workspace_id)


def find(organization_id: UUID, workspace_id: UUID) -> Policy:
    """Find a workspace's policy, inside the scope; without one it relies on what was learned."""
    for unpriced, tokens in _CHOSEN.ask(organization_id, workspace_id):
        return Policy(UnpricedPolicy(unpriced), tokens)
    return Policy()


def usual_tokens(organization_id: UUID, policy: Policy, mistral_model: str) -> int | None:
    """Tell for how many tokens to hold where neither request nor model has a cap.

    Inside the scope; None where nothing is chosen or learned.
    """
    if policy.default_output_tokens is not None:
        return policy.default_output_tokens
    for (tokens,) in _LEARNED.ask(organization_id, mistral_model):
        return int(tokens)
    return None


def _chosen(organization_id: UUID, workspace_id: UUID) -> QuerySet[WorkspacePolicy, Any]:
    rows = WorkspacePolicy.objects.filter(
        organization_id=organization_id, workspace_id=workspace_id
    )
    return rows.values_list("unpriced", "default_output_tokens")


def _learned(organization_id: UUID, mistral_model: str) -> QuerySet[LearnedOutput, Any]:
    rows = LearnedOutput.objects.filter(
        organization_id=organization_id, mistral_model=mistral_model
    )
    return rows.values_list("tokens")


_CHOSEN = Prepared(_chosen, UUID, UUID)
_LEARNED = Prepared(_learned, UUID, str)
