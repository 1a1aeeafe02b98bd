"""What went wrong is counted on the overview, and leads to the calls that did."""

import csv
import io

from tenants.spend.calls import Outcome
from tenants.spend.meter import Meter
from tests import people
from tests.api.world import world
from tests.spend import made


def test_calls_that_went_wrong_are_counted_and_listed(organization):
    small = world(organization)
    client = people.visitor(organization)
    place = f"/organizations/{organization.pk}"
    assert (
        "None that was sent to Mistral went wrong in the last 24 hours." in client.get(place).text
    )
    ends = [(Outcome.COMPLETED, 200), (Outcome.REFUSED, 429), (Outcome.FAILED, None)]
    calls = [made.intent(organization, small.workspace) for _ in ends]
    meter = Meter()
    meter.open_calls(calls)
    meter.settle_calls(
        [
            made.settlement(call, "0.10", outcome=outcome, http_status=status)
            for call, (outcome, status) in zip(calls, ends, strict=True)
        ]
    )
    meter.close()
    for address in (place, f"/workspaces/{small.workspace.pk}"):
        shown = client.get(address).text
        assert "2 went wrong in the last 24 hours" in shown
        assert "calls?outcome=wrong" in shown
    listed = client.get(f"{place}/calls?outcome=wrong").text
    assert listed.count("<tr>") == 3  # with the head
    assert "refused by Mistral (429)" in listed
    assert "Mistral failed" in listed
    assert client.get(f"{place}/calls").text.count("<tr>") == 4
    table = client.get(f"{place}/calls.csv?outcome=wrong").getvalue().decode("utf-8-sig")
    rows = csv.DictReader(io.StringIO(table))
    assert sorted(row["outcome"] for row in rows) == ["failed", "refused"]
