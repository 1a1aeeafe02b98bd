"""The page of a month's spend: its figures, where they lead, and what is too much for it."""

import re

from tenants.organizations.roles import Role
from tenants.spend.meter import Meter
from tests import factories, people
from tests.people import session_caller
from tests.spend import made


def test_the_dearest_are_listed_with_their_figures_and_the_rest_is_counted(organization):
    client = session_caller(people.member(organization, Role.ADMIN).person).client
    client.cookies["aim_language"] = "en"
    workspaces = [factories.workspace(organization) for _ in range(27)]
    calls = [made.intent(organization, one) for one in workspaces]
    meter = Meter()
    meter.open_calls(calls)
    meter.settle_calls(
        [
            made.settlement(call, f"{number + 1}.00", answered_model=f"model-{number}")
            for number, call in enumerate(calls)
        ]
    )
    meter.close()
    shown = client.get(f"/organizations/{organization.pk}/spend").text
    assert "2 models that cost less are not listed here" in shown
    assert "2 workspaces that cost less are not listed here" in shown
    assert "mistral_model=model-26" in shown
    assert 'mistral_model=model-1"' not in shown
    assert f"/workspaces/{workspaces[26].pk}/spend?month=" in shown
    assert f"/workspaces/{workspaces[1].pk}/spend" not in shown.partition("<main")[2]
    assert '<td class="number" data-label="Share">7 %</td>' in shown  # 27 of 378
    assert '<td class="number" data-label="Spend">€27.00</td>' in shown
    inside = client.get(f"/workspaces/{workspaces[3].pk}/spend").text
    assert '<td class="number" data-label="Spend">€4.00</td>' in inside
    assert "not listed here" not in inside
    names = [f"model-{number}" for number in range(2, 27)]
    for asked, expected in (("name", sorted(names)), ("spend", names), ("-spend", names[::-1])):
        page = client.get(f"/organizations/{organization.pk}/spend?sort_models={asked}").text
        assert re.findall(r'mistral_model=(model-\d+)"', page) == expected, "of the dearest"
        way = "descending" if asked.startswith("-") else "ascending"
        other = asked[1:] if asked.startswith("-") else f"-{asked}"
        assert f'aria-sort="{way}"><a class="sort" href="?sort_models={other}">' in page
        kept = f'<input type="hidden" name="sort_models" value="{asked}">'
        assert (kept in page) == (asked != "-spend"), "another month is shown in the same order"
    assert 'aria-sort="descending"><a class="sort" href="?sort_models=spend">' in shown
