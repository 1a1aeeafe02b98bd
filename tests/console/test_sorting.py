"""Lists in order: only by what they declare, page by page without gaps, with search and filters."""

import re
from datetime import date

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client

from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.console import sorting
from tenants.console.keys import _COLUMNS as KEY_COLUMNS
from tenants.console.sorting import sorted_page
from tenants.keys.models import MistralKey
from tenants.organizations.roles import Role
from tenants.registry import key_use
from tests import people
from tests.api.world import WholeWorld, registered_model, valid_key, whole_world
from tests.people import session_caller

pytestmark = pytest.mark.slow

NAMES = ["Zeta", "alfa", "Beta", "beta", "alfa", "Omega", "gamma"]
EVERY = [None, date(2027, 5, 1), date(2027, 3, 1), None, date(2027, 3, 1), date(2028, 1, 1), None]


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    """A workspace with keys of all sorts; nothing here changes it."""
    made = whole_world()
    keys = [made.key, *(valid_key(made.workspace) for _ in NAMES[1:])]
    with scope.tenant(made.organization.pk):
        for key, name, day in zip(keys, NAMES, EVERY, strict=True):
            MistralKey.objects.filter(pk=key.pk).update(name=name, expires_on=day)
    registered_model(made.workspace, made.key, "Zebra")
    return made


@pytest.fixture(scope="module")
def admin(hers) -> Client:
    client = session_caller(people.member(hers.organization, Role.ADMIN).person).client
    client.cookies["aim_language"] = "en"
    return client


def walked(found: WholeWorld, asked: str, limit: int = 2) -> list[MistralKey]:
    """Go through all pages of the keys in an order."""
    seen: list[MistralKey] = []
    query = QueryDict(f"sort={asked}", mutable=True)
    with scope.tenant(found.organization.pk):
        while True:
            rows = key_use.listed(found.workspace, ())
            page = sorted_page(rows, KEY_COLUMNS, query, limit=limit)
            seen += page.rows
            if page.next is None:
                return seen
            query["cursor"] = page.next


def page_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def targets(page: str) -> list[str]:
    return re.findall(r'class="row-target" href="[^"]+">([^<]+)</a>', page)


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
@pytest.mark.parametrize("asked", ["name", "-name", "expires", "-expires", "created", "-created"])
def test_pages_in_any_order_have_every_row_once_and_in_order(hers, asked, limit):
    rows = walked(hers, asked, limit)
    assert len(rows) == len({row.pk for row in rows}) == len(NAMES)
    backwards = asked.startswith("-")

    def ordered[One](keys: list[One]) -> list[One]:
        return sorted(keys, reverse=backwards)  # type: ignore[type-var]  # they can be compared

    if asked.endswith("created"):
        assert [row.pk for row in rows] == ordered([row.pk for row in rows])
    elif asked.endswith("name"):
        keys = [(row.name.lower(), row.pk) for row in rows]
        assert keys == ordered(keys)
    else:
        dated = [(row.expires_on, row.pk) for row in rows if row.expires_on]
        assert dated == ordered(dated)
        assert [row.expires_on for row in rows[len(dated) :]] == [None] * 3, "those without: last"
        without = [row.pk for row in rows[len(dated) :]]
        assert without == ordered(without)


def test_what_is_added_meanwhile_moves_nothing(hers):
    query = QueryDict("sort=name", mutable=True)
    with scope.tenant(hers.organization.pk):
        first = sorted_page(key_use.listed(hers.workspace, ()), KEY_COLUMNS, query, limit=3)
    fresh = whole_world()
    keys = [valid_key(fresh.workspace, name) for name in ("m", "n", "o")]
    query = QueryDict("sort=name", mutable=True)
    with scope.tenant(fresh.organization.pk):
        first = sorted_page(key_use.listed(fresh.workspace, ()), KEY_COLUMNS, query, limit=2)
    valid_key(fresh.workspace, "a")
    query["cursor"] = first.next or ""
    with scope.tenant(fresh.organization.pk):
        second = sorted_page(key_use.listed(fresh.workspace, ()), KEY_COLUMNS, query, limit=9)
    assert [row.pk for row in first.rows] == [keys[0].pk, keys[1].pk]
    assert [row.pk for row in second.rows] == [keys[2].pk, fresh.key.pk]


def test_only_declared_columns_are_sorted_by(hers):
    usual = [row.pk for row in walked(hers, "-created")]
    for asked in ("fingerprint", "-sealed", "organization__name", "name;--", "--name", "pk"):
        assert [row.pk for row in walked(hers, asked)] == usual, asked


def test_a_cursor_of_another_order_is_refused(hers):
    rows = key_use.listed(hers.workspace, ())
    with scope.tenant(hers.organization.pk):
        cursor = sorted_page(rows, KEY_COLUMNS, QueryDict("sort=name"), limit=2).next
        for asked in ("-name", "expires", "", "created"):
            query = QueryDict(mutable=True)
            query.update({"sort": asked, "cursor": cursor or ""})
            with pytest.raises(Invalid):
                sorted_page(rows, KEY_COLUMNS, query, limit=2)


@pytest.mark.parametrize("asked", ["name", "-name", "expires", "-expires"])
def test_long_lists_of_keys_are_read_in_the_order_of_an_index(hers, asked):
    """Without sorting: with ten thousand keys a page takes as long as with ten."""
    order = sorting.order_of(asked, KEY_COLUMNS)
    column = KEY_COLUMNS[order.name]
    by, sign = column.by, "-" if order.is_descending else ""
    with scope.tenant(hers.organization.pk):
        rows = MistralKey.objects.filter(workspace=hers.workspace).annotate(sort_value=by)
        if column.is_nullable:
            rows = rows.filter(sort_value__isnull=False)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
        plan = rows.order_by(f"{sign}sort_value", f"{sign}pk")[:26].explain()
    index = "key_by_name_idx" if order.name == "name" else "key_by_expiry_idx"
    assert index in plan
    assert "Sort" not in plan


def test_heads_are_links_that_say_what_the_order_is(hers, admin):
    path = f"/workspaces/{hers.workspace.pk}/keys"
    page = page_of(admin, path)
    assert re.search(
        r'<th scope="col" aria-sort="descending"><a class="sort" href="\?sort=created">', page
    )
    assert '<th scope="col"><a class="sort" href="?sort=name">' in page
    page = page_of(admin, f"{path}?search=a&sort=name&show=active")
    assert targets(page) == ["alfa", "alfa", "Beta", "beta", "gamma", "Omega", "Zeta"]
    there = "?search=a&amp;sort=-name&amp;show=active"
    head = f'<th scope="col" aria-sort="ascending"><a class="sort" href="{there}">'
    assert head in page, "search and filter stay"
    assert '<input type="hidden" name="sort" value="name">' in page, "and the order, in a search"
    assert targets(page_of(admin, f"{path}?sort=-name"))[0] == "Zeta"


def test_a_search_that_finds_too_much_says_that_it_is_not_sorted(hers, admin, monkeypatch):
    monkeypatch.setattr(sorting, "MOST_FOUND", 3)
    path = f"/workspaces/{hers.workspace.pk}/keys"
    page = page_of(admin, f"{path}?search=a&sort=name")
    assert "they are shown newest first" in page
    assert targets(page)[0] == "gamma"
    assert "they are shown newest first" not in page_of(admin, f"{path}?search=omega&sort=name")


@pytest.mark.parametrize(
    ("path", "asked", "first"),
    [
        ("workspaces/{0.workspace.pk}/models", "name", "Assistente"),
        ("workspaces/{0.workspace.pk}/models", "-name", "Zebra"),
        ("organizations/{0.organization.pk}/members", "-role", ""),
        ("organizations/{0.organization.pk}/members", "email", ""),
        ("organizations/{0.organization.pk}/members", "name", ""),
        ("organizations/{0.organization.pk}/tokens", "name", ""),
        ("organizations/{0.organization.pk}/tokens", "-expires", ""),
        ("organizations/{0.organization.pk}/webhooks", "address", ""),
    ],
)
def test_every_list_says_what_it_is_sorted_by(hers, admin, path, asked, first):
    page = page_of(admin, f"/{path.format(hers)}?sort={asked}")
    way = "descending" if asked.startswith("-") else "ascending"
    other = asked[1:] if asked.startswith("-") else f"-{asked}"
    assert f'aria-sort="{way}"><a class="sort" href="?sort={other}">' in page
    assert page.count("aria-sort=") == 1
    if first:
        assert targets(page)[0] == first


def test_members_are_sorted_by_what_they_are_called():
    made = whole_world()
    for name in ("Zoe", "adele", "Mara"):
        people.member(made.organization, who=people.person(name))
    client = session_caller(people.member(made.organization, Role.ADMIN).person).client
    page = page_of(client, f"/organizations/{made.organization.pk}/members?sort=name")
    names = re.findall(r"<strong>([^<]+)</strong>", page)
    assert [one for one in names if one in {"Zoe", "adele", "Mara"}] == ["adele", "Mara", "Zoe"]
