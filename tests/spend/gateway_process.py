"""A gateway process reduced to its meter, to be killed: ``python -m tests.spend.gateway_process``.

Opens calls of one workspace and settles every other one, for ever; prints each confirmed step.
"""

import os
import sys
from dataclasses import dataclass
from uuid import UUID

import django


@dataclass
class _Organization:
    id: UUID
    timezone: str = "Europe/Rome"


@dataclass
class _Workspace:
    id: UUID


def main(organization_id: str, workspace_id: str) -> None:
    """Meter until killed."""
    from tenants.spend.meter import Meter  # noqa: PLC0415 - needs Django to be set up
    from tests.spend.made import intent, settlement  # noqa: PLC0415

    organization, workspace = _Organization(UUID(organization_id)), _Workspace(UUID(workspace_id))
    meter = Meter()
    while True:
        calls = [intent(organization, workspace, "0.001") for _ in range(8)]
        for verdict in meter.open_calls(calls):
            if verdict.is_accepted:
                sys.stdout.write(f"open {verdict.call_id}\n")
        for settled in meter.settle_calls([settlement(call, "0.0004") for call in calls[::2]]):
            sys.stdout.write(f"settle {settled.call_id}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # noqa: TID251 - before settings exist
    django.setup()
    main(*sys.argv[1:])
