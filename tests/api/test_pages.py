"""Pages: each row once, newest first, whatever is added meanwhile; a cursor cannot be made up."""

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.access.pagination import MAX_LIMIT, make_cursor
from tenants.common import scope
from tenants.common.models import new_id
from tests import factories
from tests.api.callers import Caller, organization_caller


@pytest.fixture(scope="module")
def crowded() -> tuple[Caller, str, list[str]]:
    """An organization with a dozen workspaces, and their ids, newest first."""
    organization = factories.organization()
    made = [factories.default_workspace(organization)]
    made += [factories.workspace(organization) for _ in range(11)]
    ids = [str(workspace.pk) for workspace in reversed(made)]
    return organization_caller(organization), f"organizations/{organization.pk}/workspaces", ids


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(limits=st.lists(st.integers(1, 14), min_size=12, max_size=12))
def test_pages_of_any_sizes_give_every_row_once_and_in_order(limits, crowded):
    caller, path, ids = crowded
    seen: list[str] = []
    cursor = ""
    for limit in limits:
        body = caller.get(f"{path}?limit={limit}{cursor}").body
        seen += [row["id"] for row in body["results"]]
        assert len(body["results"]) <= limit
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert seen == ids


def test_lists_that_no_table_holds_have_pages_too(hers, platform):
    model = f"models/{hers.model.pk}"
    organization, workspace = hers.organization, hers.workspace
    for limited in (f"organizations/{organization.pk}", f"workspaces/{workspace.pk}", model):
        assert platform.put(f"{limited}/limits", {"monthly_spend": "9.00"}).status == 200
    made = timezone.now() - timedelta(days=100)
    with scope.tenant(hers.organization.pk):
        type(hers.model).objects.filter(pk=hers.model.pk).update(created_at=made)
    months = platform.get(f"spend/months?model_id={hers.model.pk}").body["results"]
    whole = platform.get(f"{model}/limits/effective").body
    assert (len(whole["results"]), whole["next"]) == (3, None)
    assert len(months) > 3
    for path, rows in (
        (f"{model}/limits/effective?limit=2", whole["results"]),
        (f"spend/months?model_id={hers.model.pk}&limit=2", months),
    ):
        first = platform.get(path).body
        assert len(first["results"]) == 2
        second = platform.get(f"{path}&cursor={first['next']}").body
        assert first["results"] + second["results"] == rows[:4]
        assert (second["next"] is None) == (len(rows) <= 4)
    elsewhere = make_cursor(new_id().bytes)
    refused = platform.get(f"{model}/limits/effective?cursor={elsewhere}")
    assert refused.pointers == {"/cursor": "cursor_invalid"}


def test_what_is_added_meanwhile_moves_nothing(alice, organization):
    path = f"organizations/{organization.pk}/workspaces"
    old = [alice.post(path, {"name": name}).body["id"] for name in ("a", "b")]
    first = alice.get(f"{path}?limit=1").body
    alice.post(path, {"name": "c"})
    rest = alice.get(f"{path}?limit=9&cursor={first['next']}").body
    assert [row["id"] for row in first["results"] + rest["results"]][:2] == old[::-1]
    assert rest["next"] is None


def test_the_largest_page_is_taken(crowded):
    caller, path, ids = crowded
    assert len(caller.get(f"{path}?limit={MAX_LIMIT}").body["results"]) == len(ids)


def test_a_cursor_that_was_changed_or_made_up_is_refused(crowded):
    caller, path, _ids = crowded
    good = caller.get(f"{path}?limit=1").body["next"]
    assert caller.get(f"{path}?cursor={good}").status == 200
    body, _dot, signature = good.partition(".")
    made_up = make_cursor(new_id().bytes).partition(".")[0]
    for bad in (
        good[:-1] + ("a" if good[-1] != "a" else "b"),
        body,
        f".{signature}",
        f"{made_up}.{signature}",
        make_cursor(b"short"),
        good + "x",
        "0" * 200,
    ):
        answer = caller.get(f"{path}?cursor={bad}")
        assert (answer.status, answer.code) == (422, "cursor_invalid"), bad


def test_a_cursor_tells_nothing_of_other_organizations(crowded, charlie):
    caller, path, ids = crowded
    cursor = caller.get(f"{path}?limit=1").body["next"]
    results = charlie.get(f"organizations?cursor={cursor}").body["results"]
    assert not {row["id"] for row in results} & set(ids)


def test_the_directory_of_organizations_is_paged_too(platform, organization, stranger):
    body = platform.get("organizations?limit=1").body
    newest = body["results"][0]
    assert newest["id"] == str(stranger.pk)
    assert newest["default_workspace_id"] == str(factories.default_workspace(stranger).pk)
    second = platform.get(f"organizations?limit=1&cursor={body['next']}").body
    assert second["results"][0]["id"] == str(organization.pk)
