"""Ask everybody what the table of addresses promises: a refusal shows that nothing changed."""

from typing import Final

import pytest

from tenants.access.services import ALL_SCOPES
from tenants.common.tokens import TokenKind, mint
from tenants.organizations import roles
from tenants.organizations.roles import Role
from tests import factories, people
from tests.api.callers import Caller, organization_caller, platform_caller
from tests.api.open_addresses import ACCOUNTS
from tests.api.roles import CAST, HOLDERS, Somebody
from tests.api.rows import Row, elsewhere
from tests.api.test_permission_table import TABLE
from tests.api.world import WholeWorld, everything, whole_world
from tests.people import session_caller

pytestmark = pytest.mark.slow

NOT_FOUND: Final = 404
DEAD_TOKENS = {
    None: "token_missing",
    "hunter2": "token_malformed",
    "aim_org_000000000000000000000000000000000": "token_malformed",
    mint(TokenKind.PLATFORM).reveal(): "token_unknown",
    mint(TokenKind.ORGANIZATION).reveal(): "token_unknown",
    mint(TokenKind.MODEL).reveal(): "token_malformed",
}

rows = pytest.mark.parametrize("row", [one for one in TABLE if not one.personal], ids=str)
personal_rows = pytest.mark.parametrize("row", [one for one in TABLE if one.personal], ids=str)


every_row = pytest.mark.parametrize("row", TABLE, ids=str)


class Worlds:
    """One for all that only reads; for each row that changes something one, until it is used up."""

    def __init__(self) -> None:
        self._read = whole_world()
        self._changed: dict[Row, WholeWorld] = {}

    def of(self, row: Row) -> WholeWorld:
        """Give a world in which a row's request is answered as the table says."""
        if row.method == "GET":
            return self._read
        if row.method == "DELETE" or row.is_once:
            return whole_world(has_statement=False)
        if row not in self._changed:
            self._changed[row] = whole_world(has_statement=False)
        return self._changed[row]


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    """Worlds to be let into."""
    return Worlds()


@pytest.fixture
def asked(row, worlds) -> WholeWorld:
    """One of them."""
    found: WholeWorld = worlds.of(row)
    return found


@pytest.fixture(scope="module")
def untouched() -> WholeWorld:
    """What Alice's organization has, for reads and refusals only: they change nothing."""
    return whole_world()


@pytest.fixture(scope="module")
def callers(untouched) -> dict[Somebody, Caller]:
    return {somebody: somebody.caller(untouched) for somebody in CAST}


@pytest.fixture(scope="module")
def picture(untouched, callers) -> dict[str, object]:
    return everything(untouched.organization.pk)


@pytest.fixture
def _nothing_changes(untouched, picture):
    yield
    assert everything(untouched.organization.pk) == picture


nothing_changes = pytest.mark.usefixtures("_nothing_changes")


@rows
def test_a_platform_token_with_exactly_these_scopes_gets_in(row, asked):
    answer = row.send(platform_caller(*row.scopes), asked)
    assert answer.status == row.status, answer.raw


@rows
def test_a_token_of_the_organization_with_exactly_these_scopes_gets_in(row, asked):
    answer = row.send(organization_caller(asked.organization, *row.scopes), asked)
    assert answer.status == (403 if row.platform_only else row.status), answer.raw
    assert answer.code == "platform_only" if row.platform_only else answer.code is None


@pytest.fixture(scope="module")
def stranger_caller() -> Caller:
    """Charlie, with every scope of an organization of his own."""
    return organization_caller(factories.organization(name="Charlie & Co"))


@pytest.fixture(scope="module")
def narrowed() -> WholeWorld:
    """Another world for refusals, which gets more and more tokens."""
    return whole_world(has_statement=False)


@rows
def test_without_one_of_these_scopes_it_is_forbidden_and_nothing_changes(row, narrowed):
    organization = narrowed.organization
    callers = [
        (missing, caller)
        for missing in row.scopes
        for others in [ALL_SCOPES - {missing}]
        for caller in (platform_caller(*others), organization_caller(organization, *others))
    ]
    before = everything(organization.pk)
    for missing, caller in callers:
        answer = row.send(caller, narrowed)
        assert (answer.status, answer.code) == (403, "scope_missing")
        assert answer.body["scopes"] == [missing]
    assert everything(organization.pk) == before


@rows
@nothing_changes
def test_charlie_finds_nothing_and_changes_nothing(row, untouched, stranger_caller):
    answer = row.send(stranger_caller, untouched)
    assert answer.status == row.stranger, answer.raw
    if row.stranger == NOT_FOUND:
        assert answer.code == "not_found"
    else:
        for value in untouched.ids.values():
            assert str(value).encode() not in answer.raw


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row.stranger == NOT_FOUND and not row.personal], ids=str
)
def test_what_is_nowhere_is_refused_in_the_very_words_of_what_is_not_yours(
    row, untouched, stranger_caller
):
    theirs = row.send(stranger_caller, untouched).body
    lost = elsewhere(untouched)
    nowhere = row.send(stranger_caller, lost).body
    assert theirs.pop("request_id") != nowhere.pop("request_id")
    assert theirs == nowhere
    assert row.send(platform_caller(), lost).status == NOT_FOUND


@rows
@nothing_changes
def test_without_a_live_token_nobody_gets_in_and_nothing_changes(row, untouched):
    for token, code in DEAD_TOKENS.items():
        answer = row.send(Caller(token), untouched)
        assert (answer.status, answer.code) == (401, code), token
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@every_row
def test_the_administrator_gets_in(row, asked):
    answer = row.send(session_caller(people.member(asked.organization, Role.ADMIN).person), asked)
    assert answer.status == (403 if row.platform_only else row.status), answer.raw
    assert answer.code == "platform_only" if row.platform_only else True


def test_every_scope_has_its_holders_and_the_code_says_the_same():
    assert set(HOLDERS) == ALL_SCOPES == set(roles.CAPABILITIES)
    assert {name: set(who) for name, who in roles.CAPABILITIES.items()} == HOLDERS


@rows
@nothing_changes
def test_a_member_gets_what_the_roles_allow_and_a_refusal_changes_nothing(
    row, untouched, callers, worlds
):
    for somebody in CAST:
        found, caller = untouched, callers[somebody]
        may = somebody.may(row, untouched) and not row.platform_only
        is_lost = somebody.is_lost(row, untouched)
        if may and not is_lost and row.changes:
            found = worlds.of(row)
            caller = somebody.caller(found)
        answer = row.send(caller, found)
        if is_lost:
            assert (answer.status, answer.code) == (404, "not_found"), somebody
        elif may:
            assert answer.status == row.status, (somebody, answer.raw)
        else:
            expected = "platform_only" if somebody.may(row, untouched) else "role_missing"
            assert (answer.status, answer.code) == (403, expected), somebody


@pytest.fixture(scope="module")
def stranger_session() -> Caller:
    """Charlie himself, who administers an organization of his own."""
    organization = factories.organization(name="Charlie & Co")
    return session_caller(people.member(organization, Role.ADMIN).person)


@every_row
@nothing_changes
def test_charlie_himself_finds_nothing_and_changes_nothing(row, untouched, stranger_session):
    answer = row.send(stranger_session, untouched)
    # Where a person acts is asked before what only AIsuru's backend may do.
    is_elsewhere = row.platform_only and "organization_id" in row.route
    assert answer.status == (NOT_FOUND if is_elsewhere else row.stranger), answer.raw
    if answer.status == NOT_FOUND:
        assert answer.code == "not_found"
    else:
        for value in untouched.ids.values():
            assert str(value).encode() not in answer.raw


@personal_rows
def test_what_is_about_a_person_takes_no_token(row, narrowed):
    for caller in (platform_caller(), organization_caller(narrowed.organization)):
        answer = row.send(caller, narrowed)
        assert (answer.status, answer.code) == (403, "person_only")
    assert row.send(Caller(), narrowed).status == 401


@pytest.mark.parametrize(("method", "route"), ACCOUNTS, ids=str)
def test_signing_in_shows_nobody_more_than_it_should(method, route):
    nobody, somebody = ACCOUNTS[method, route]
    address = f"/_allauth/browser/v1/{route}"
    caller = session_caller(people.person("Nora"))
    assert Caller().call(method, address, {}).status == nobody
    assert caller.call(method, address, {}).status == somebody
