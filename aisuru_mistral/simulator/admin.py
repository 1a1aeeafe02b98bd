"""What the Admin API tells of every organization beside the bill; tests may change it at any time.

Refuses to be more than data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(slots=True)
class AdminFacts:
    """Limits as an administrator set them.

    Attributes:
        spend_limit: of the organization, in euro; None for no limit.
        requests_per_second: of the organization.
        token_limits: tokens a minute and a month by model.
        workspace_limits: spend limits by id of the workspace.
        price_factor: a discount on every published price, as a contract may grant.
    """

    spend_limit: Decimal | None = Decimal(500)
    requests_per_second: int = 6
    token_limits: Mapping[str, tuple[int, int]] = field(
        default_factory=lambda: {
            "mistral-small-2603": (2_000_000, 10_000_000_000),
            "mistral-medium-3-5": (500_000, 1_000_000_000),
        }
    )
    workspace_limits: Mapping[str, Decimal] = field(default_factory=dict)
    price_factor: Decimal = Decimal(1)
