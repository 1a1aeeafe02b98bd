"""Answers what workspaces have chosen and what was learned, from memory a few seconds old."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from tenants.common import scope
from tenants.spend.calls import UnpricedPolicy
from tenants.spend.models import LearnedOutput, WorkspacePolicy

MAX_AGE_SECONDS = 5
_MOST = 10_000


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


@dataclass(frozen=True, slots=True)
class Policies:
    """What one organization's workspaces have chosen, and what was learned of its models."""

    of_workspaces: Mapping[UUID, Policy]
    learned: Mapping[str, int]

    def of(self, workspace_id: UUID) -> Policy:
        """Find a workspace's policy; without one it refuses and relies on what was learned."""
        return self.of_workspaces.get(workspace_id, _DEFAULT)

    def output_tokens(self, workspace_id: UUID, mistral_model: str) -> int | None:
        """Tell for how many tokens to hold where neither request nor model has a cap."""
        chosen = self.of(workspace_id).default_output_tokens
        return chosen if chosen is not None else self.learned.get(mistral_model)


_DEFAULT = Policy()
_known: dict[UUID, tuple[Policies, int]] = {}


def current(organization_id: UUID) -> Policies:
    """Return an organization's policies, at most a few seconds old."""
    kept = _known.get(organization_id)
    now = time.monotonic_ns()
    if kept is None or now >= kept[1]:
        with scope.tenant(organization_id):
            chosen = {row.workspace_id: _policy(row) for row in WorkspacePolicy.objects.all()}
            learned = dict(LearnedOutput.objects.values_list("mistral_model", "tokens"))
        if len(_known) >= _MOST:
            _known.clear()
        kept = (Policies(chosen, learned), now + MAX_AGE_SECONDS * 1_000_000_000)
        _known[organization_id] = kept
    return kept[0]


def read(organization_id: UUID, workspace_id: UUID) -> Policy:
    """Read a workspace's policy as it is now."""
    with scope.tenant(organization_id):
        found = WorkspacePolicy.objects.filter(workspace_id=workspace_id).first()
    return _policy(found) if found else _DEFAULT


def forget() -> None:
    """Let the next look-up read the tables, as after a change in this very process."""
    _known.clear()


def _policy(row: WorkspacePolicy) -> Policy:
    return Policy(UnpricedPolicy(row.unpriced), row.default_output_tokens)
