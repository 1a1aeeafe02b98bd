"""A batch job at a Mistral that wrote exactly these lines, and what the ledger makes of them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.utils import timezone

from tenants.common import scope
from tenants.common.models import new_id
from tenants.registry.resources import Owner
from tenants.spend import batches, pricebook
from tenants.spend.calls import CallIntent
from tenants.spend.meter import Meter
from tenants.spend.models import BatchJob
from tenants.spend.pricing import Modifier, Quantities, WorstCase, cost
from tests import factories
from tests.keys.keyring import registered
from tests.mistral.far_side import FarSide, answer
from tests.spend import made

LINES_FILE, ERRORS_FILE = "0190-output", "0190-errors"


def line(body: object, status: int = 200) -> bytes:
    """Write a line of a job's output, as Mistral does."""
    row = {"id": "x", "custom_id": "1", "response": {"status_code": status, "body": body}}
    return json.dumps(row | {"error": None}).encode()


@dataclass
class Batch:
    """A job of an organization of its own.

    Attributes:
        held: what was held for all its lines together; None for no hold.
        output: the lines of its output; None for a job without output.
        job: what differs in what Mistral says of the job.
        refused: the status by which Mistral refuses to say anything of it; 0 for none.
        inline: the lines that come with the job, where that is asked for.
    """

    endpoint: str
    model: str
    held: Quantities | None = None
    output: list[bytes] | None = None
    job: Mapping[str, Any] = field(default_factory=dict)
    refused: int = 0
    is_regional: bool = False
    inline: list[bytes] | None = None

    def __post_init__(self) -> None:
        self.organization = factories.organization(currency="EUR")
        workspace = factories.default_workspace(self.organization)
        self.key = registered(workspace, "k" * 32)
        with scope.tenant(self.organization.id):
            model = made.registered_model(self.organization, workspace)
        call = made.intent(self.organization, workspace, key_id=self.key.id, model_id=model.id)
        call = replace(call, endpoint=self.endpoint, requested_model=self.model)
        self.call: CallIntent = replace(call, worst_case=self._most(call.call_id))
        self._row: UUID | None = None
        if self.held is not None:
            meter = Meter()
            (verdict,) = meter.open_calls([self.call])
            assert verdict.is_accepted
            meter.close()
        batches.register(
            owner=Owner(self.organization.id, workspace.id, model.id, new_id()),
            intent=self.call,
            mistral_id="0190-job",
            endpoint=self.endpoint,
            hours=24,
            regional=self.is_regional,
        )

    def meter(self) -> bool:
        """Run the worker once; tell whether the job is metered."""
        return batches.meter_job(self.organization.id, self.row().pk)

    def metered(self) -> list[dict[str, Any]]:
        """Have the job metered; give its events, and see that nothing is held any more."""
        assert self.meter()
        assert made.holds(self.organization) == []
        assert made.ledger(self.organization) == made.recount(self.organization)
        return sorted(made.events(self.organization), key=lambda event: str(event["category"]))

    def row(self) -> BatchJob:
        """What is known of the job here."""
        with scope.tenant(self.organization.id):
            return BatchJob.objects.get(call_id=self.call.call_id)

    def is_late(self) -> None:
        """Let the time pass until the job is given up."""
        with scope.tenant(self.organization.id):
            BatchJob.objects.update(gives_up_at=timezone.now())

    @contextmanager
    def at_mistral(self) -> Iterator[FarSide]:
        """Run the Mistral that knows the job."""
        with FarSide(self._answer) as far_side:
            yield far_side

    def _answer(self, request, connection) -> None:
        if self.refused:
            connection.sendall(answer(self.refused, {"message": "no"}))
        elif request.path == f"/v1/files/{LINES_FILE}/content":
            connection.sendall(answer(200, b"\n".join(self.output or [])))
        else:
            path, _, query = request.path.partition("?")
            assert (path, query) in [("/v1/batch/jobs/0190-job", q) for q in ("", "inline=true")]
            file = LINES_FILE if self.output is not None else None
            said: dict[str, Any] = {"status": "SUCCESS", "output_file": file, "error_file": None}
            said["total_requests"] = len(self.output or self.inline or [])
            if query and self.inline is not None:
                said["outputs"] = [json.loads(row) for row in self.inline]
            connection.sendall(answer(200, {**said, **self.job}))

    def _most(self, call_id: UUID) -> WorstCase:
        held = self.held or Quantities()
        prices = pricebook.of_organization(self.organization.id).prices_for(
            self.model, "EUR", timezone.now()
        )
        return WorstCase(held, cost(held, prices, [Modifier.BATCH]))
