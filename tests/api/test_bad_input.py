"""Bad input: told as a problem, never a 500, and nothing half-done."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.access.requests import MAX_BODY
from tests import people
from tests.api.callers import BASE, Caller
from tests.api.rows import PROFILE, elsewhere
from tests.api.test_permission_table import TABLE
from tests.api.world import MODEL, WholeWorld, everything, whole_world
from tests.people import session_caller

pytestmark = pytest.mark.slow

DEEP = b'{"name":' + b"[" * 900 + b"]" * 900 + b"}"
BROKEN = {
    "no JSON": (b"{", 400, "malformed_json"),
    "form data": (b"name=x&owner_email=y", 400, "malformed_json"),
    "not UTF-8": (b'{"name": "\xff\xfe"}', 400, "malformed_json"),
    "overlong UTF-8": (b'{"name": "\xc0\xaf"}', 400, "malformed_json"),
    "lone surrogate": (rb'{"name": "\ud800"}', 400, "malformed_json"),
    "NaN": (b'{"name": NaN}', 400, "malformed_json"),
    "infinity": (b'{"name": 1e999}', 400, "malformed_json"),
    "a number too long for anybody": (b'{"name": ' + b"9" * 5000 + b"}", 400, "malformed_json"),
    "two values": (b"{}{}", 400, "malformed_json"),
    "a comment": (b"{} // x", 400, "malformed_json"),
    "UTF-16": ('{"name": "x"}'.encode("utf-16"), 400, "malformed_json"),
    "a list": (b"[]", 422, "not_an_object"),
    "a text": (b'"name"', 422, "not_an_object"),
    "null": (b"null", 422, "not_an_object"),
    "deep nesting": (DEEP, 422, "nested_too_deep"),
    "deepest nesting": (b"[" * 100_000, 400, "malformed_json"),
    "an unknown member": (b'{"surprise": 1}', 422, "validation_failed"),
    "a member named like a method": (b'{"__class__": 1}', 422, "validation_failed"),
    "an empty name": (b'{"": 1}', 422, "validation_failed"),
    "a NUL in a name": (rb'{"\u0000": 1}', 422, "validation_failed"),
}
WITH_BODY = [row for row in TABLE if row.method in {"POST", "PUT", "PATCH", "DELETE"}]


@pytest.fixture
def hers(organization) -> WholeWorld:
    """Everything in it can be named by an address."""
    return whole_world(organization)


@pytest.fixture(scope="module")
def untouched() -> WholeWorld:
    return whole_world()


@pytest.fixture(scope="module")
def somebody() -> Caller:
    """A person with a session, for what is about people."""
    return session_caller(people.person("Nora"))


@pytest.mark.parametrize("row", WITH_BODY, ids=str)
def test_a_body_that_is_no_plain_json_object_is_refused(row, untouched, platform, somebody):
    caller = somebody if row.personal else platform
    before = everything(untouched.organization.pk)
    path = row.address(untouched)
    for name, (raw, status, code) in BROKEN.items():
        answer = caller.send(row.method, path, raw)
        assert (answer.status, answer.code) == (status, code), (name, answer.raw)
        assert answer.headers["Content-Type"] == "application/problem+json"
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "multipart/form-data",
    ):
        answer = caller.send(row.method, path, b'{"name": "x"}', None, content_type)
        assert (answer.status, answer.code) == (415, "unsupported_media_type"), content_type
    big = b'{"name": "' + b"x" * MAX_BODY + b'"}'
    answer = caller.send(row.method, path, big)
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert everything(untouched.organization.pk) == before


WRONG: dict[str, dict[str, list[Any]]] = {
    "organizations": {
        "name": [None, 1, True, [], {}, "", "   ", "x" * 121, "a\0b", "a\nb", "a\u2028b", "\x7f"],
        "slug": ["", "A", "a b", "-a", "a--b", "x" * 61, "è"],
        "owner_email": [None, "", "x", "a@b", 7, "a@b.it\nc", "a" * 250 + "@b.it"],
        "locale": ["de", "", 1, "IT"],
        "timezone": [
            "Mars/Olympus",
            "Factory",
            "localtime",
            "",
            "../etc/passwd",
            "europe/rome",
            "Europe/Rome\0",
        ],
        "currency": ["eur", "GBP", []],
        "aisuru_tenant": ["https://x.example", "a b", ".", 1, "x" * 254],
    },
    "organizations/{organization_id}/workspaces": {
        "name": [None, 5, "", "x" * 121, "a\tb"],
        "icon": ["x" * 17, 1, "\0"],
        "description": ["x" * 501, [], "a\x1bb"],
    },
    "organizations/{organization_id}/tokens": {
        "name": [None, "", 1],
        "scopes": [[], ["*"], "keys:read", ["keys:read"] * 99, [1], {}, [None], [["keys:read"]]],
        "allowed_networks": [
            "10.0.0.0/8",
            ["10.0.0.1/8"],
            ["fe80::1%eth0"],
            ["home"],
            [1],
        ],
        "expires_at": ["tomorrow", 1, "2020-01-01T00:00:00Z", "2999-01-01T00:00:00", "", True],
    },
    "workspaces/{workspace_id}/keys": {
        "key": [None, "", 1, [], "too short", "aim_plat_x", "x" * 1025, "••••••••", "a\0" * 20],
        "name": ["x" * 121, 1, "a\rb"],
        "expires_on": ["2026-13-01", "2020-01-01", "20300101", 1, "", "2030-01-01T00:00:00Z"],
    },
    "keys/{key_id}/versions": {
        "key": [None, "short", {"a": 1}],
        "grace_seconds": [-1, "1", 1.5, True, 10**30],
        "expires_on": ["never", "0000-00-00"],
    },
    "models": {
        "organization_id": [None, "x", 1, "not-a-uuid", "{}", "urn:uuid:" + "0" * 32],
        "workspace_id": [None, "", [], "0" * 32],
        "key_id": ["x", 1, {}],
        "name": [None, "", 1, "a\0"],
        "model": [None, "", 1, "x" * 201],
        "purposes": [None, [], ["chat"], "question_answering", [1], {}, [[]]],
        "context_size": [0, -1, "1", 1.0, True, 2**31, 10**40],
        "timeout": [0, "5", 2**63],
        "defaults": [
            [],
            "x",
            {"temperature": 2},
            {"temperature": "0.1"},
            {"temperature": True},
            {"max_tokens": 0},
            {"safe_prompt": 1},
            {"top_p": 1},
        ],
        "spend_limit": [
            1,
            1.5,
            "1.0000000001",
            "-1",
            "1e3",
            "NaN",
            "",
            "9" * 40,
            "Infinity",
            "\uff11",
        ],
        "visible_to_tenant": [1, "true"],
        "use_as_default": ["on", 0],
        "external_id": ["x" * 201, 1, "a\x00"],
    },
    "models/{model_id}/token": {"grace_seconds": [-1, "1", 2_592_001, True]},
}
GOOD: dict[str, dict[str, Any]] = {
    "organizations": {"name": "N", "owner_email": "n@nuova.example"},
    "organizations/{organization_id}/workspaces": {"name": "W"},
    "organizations/{organization_id}/tokens": {"name": "t"},
    "workspaces/{workspace_id}/keys": {"key": "k" * 32},
    "keys/{key_id}/versions": {"key": "v" * 32},
    "models": {
        "organization_id": "{organization_id}",
        "workspace_id": "{workspace_id}",
        "name": "M",
        "model": MODEL,
        "purposes": ["deep_thought"],
    },
    "models/{model_id}/token": {},
}


def filled(text: str, found: WholeWorld) -> str:
    for name, value in found.ids.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


@pytest.mark.parametrize(
    ("address", "member"),
    [(address, member) for address, found in WRONG.items() for member in found],
)
def test_a_wrong_member_is_named_by_its_pointer_and_nothing_is_made(
    address, member, untouched, platform
):
    before = everything(untouched.organization.pk)
    good = orjson.loads(filled(orjson.dumps(GOOD[address]).decode(), untouched))
    for value in WRONG[address][member]:
        answer = platform.send("POST", filled(address, untouched), dumped({**good, member: value}))
        assert answer.status == 422, (value, answer.raw)
        assert any(
            pointer == f"/{member}" or pointer.startswith(f"/{member}/")
            for pointer in answer.pointers
        ), (value, answer.raw)
        if isinstance(value, str) and len(value) > 10:
            assert value not in answer.raw.decode(), "what came in is not echoed"
    assert everything(untouched.organization.pk) == before


def dumped(body) -> bytes:
    """Write JSON with numbers of any size, which orjson does not."""
    return json.dumps(body).encode()


WRONG_AMOUNTS: list[Any] = [1, "1.0000000001", "-5", "", [], True, "1" * 30]
WRONG_THRESHOLDS: list[Any] = [[0], [101], ["50"], [1.5], [True], [1] * 11, "50", {}]
WRONG_LIMITS: list[Any] = [
    {},
    {"monthly_spend": "1", "mode": "off"},
    *({"monthly_spend": value} for value in WRONG_AMOUNTS),
    *({"monthly_spend": "1", "alert_thresholds": value} for value in WRONG_THRESHOLDS),
]


@pytest.mark.parametrize("body", WRONG_LIMITS, ids=str)
def test_a_wrong_limit_is_refused_and_the_old_one_stays(body, hers, platform):
    path = f"organizations/{hers.organization.pk}/limits"
    assert platform.put(path, {"monthly_spend": "7.50"}).status == 200
    answer = platform.put(path, body)
    assert answer.status == 422, answer.raw
    assert platform.get(path).body["monthly_spend"] == "7.50"


SHOWN = [
    row
    for row in TABLE
    if row.method == "PUT"
    and row.route.endswith(("billing-profile", "plan", "limits", "retention", "-policy"))
]


@pytest.mark.parametrize("row", SHOWN, ids=str)
def test_what_get_shows_put_takes(row, hers, platform):
    path = row.address(hers)
    assert row.send(platform, hers).status == 200
    shown = platform.get(path).body
    again = platform.put(path, shown)
    assert again.status == 200, again.raw
    moving = {"updated_at"}
    assert {name: again.body[name] for name in again.body.keys() - moving} == {
        name: shown[name] for name in shown.keys() - moving
    }
    refused = platform.put(path, shown | {"colour": "red"})
    assert refused.pointers == {"/colour": "unknown_field"}


def test_null_stands_for_an_optional_member_that_is_left_out(hers, platform):
    made = platform.post(
        "organizations",
        {"name": "N", "owner_email": "n@n.it"}
        | dict.fromkeys(("slug", "aisuru_tenant", "locale", "timezone", "currency")),
    )
    assert made.status == 201, made.raw
    assert (made.body["locale"], made.body["currency"]) == ("it", "EUR")
    workspace = {"name": "W"} | dict.fromkeys(("icon", "description", "add_all_members"))
    path = f"organizations/{hers.organization.pk}"
    made = platform.post(f"{path}/workspaces", workspace)
    assert (made.status, made.body["description"]) == (201, "")
    address: Any = PROFILE["address"]
    profile = PROFILE | {"pec": None, "address": address | {"line2": None}}
    assert platform.put(f"{path}/billing-profile", profile).status == 200
    needed = platform.post("organizations", {"name": None, "owner_email": "n@n.it"})
    assert needed.pointers == {"/name": "null"}
    changed = platform.patch(path, {"name": None})
    assert changed.pointers == {"/name": "null"}


@pytest.mark.parametrize(
    ("path", "member", "code"),
    [
        ("organizations?limit=0", "/limit", "min_value"),
        ("organizations?limit=201", "/limit", "max_value"),
        ("organizations?limit=ten", "/limit", "invalid"),
        ("organizations?limit=" + "9" * 2000, "/limit", "max_string_length"),
        ("organizations?limit=5&limit=6", "/limit", "repeated"),
        ("organizations?offset=5", "/offset", "unknown_field"),
        ("organizations?cursor=x", "/cursor", "cursor_invalid"),
        ("organizations?cursor=%00", "/cursor", "null_characters_not_allowed"),
        ("models", "/organization_id", "subject_required"),
        ("spend", "/organization_id", "subject_required"),
        ("spend?organization_id=x", "/organization_id", "invalid"),
        ("spend?organization_id={organization_id}&month=2026-13", "/month", "month_invalid"),
        ("spend?organization_id={organization_id}&month=%D9%A2026", "/month", "month_invalid"),
        (
            "spend?organization_id={organization_id}&group_by=person",
            "/group_by",
            "group_by_unknown",
        ),
        ("models?organization_id={organization_id}&purpose=chat", "/purpose", "invalid_choice"),
        ("workspaces/{workspace_id}/keys?status=good", "/status", "invalid_choice"),
        ("workspaces/{workspace_id}/keys?search=%00", "/search", "null_characters_not_allowed"),
        ("models/{model_id}/completion-config?flavour=azure", "/flavour", "invalid_choice"),
        ("catalog?currency=GBP", "/currency", "invalid_choice"),
        ("calls?model_id={model_id}&cursor=a.b", "/cursor", "cursor_invalid"),
    ],
)
def test_a_wrong_query_is_named_by_its_pointer(path, member, code, untouched, platform):
    answer = platform.get(filled(path, untouched))
    assert (answer.status, answer.pointers.get(member)) == (422, code), answer.raw


@pytest.mark.parametrize(
    "path",
    ["organizations/1", "keys/%00", "models/" + "a" * 36, "nothing", "organizations/", "%ff"],
)
def test_an_address_that_leads_nowhere_is_a_404_in_its_usual_form(path, platform):
    answer = platform.get(path)
    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_parts_that_do_not_belong_together_are_not_found(untouched, platform):
    other = elsewhere(untouched)
    own, stranger = untouched.ids, whole_world().ids
    for path in (
        f"spend?organization_id={stranger['organization_id']}&workspace_id={own['workspace_id']}",
        f"spend?workspace_id={stranger['workspace_id']}&model_id={own['model_id']}",
        f"calls?workspace_id={other.ids['workspace_id']}",
        f"models?organization_id={stranger['organization_id']}&workspace_id={own['workspace_id']}",
        f"organizations/{own['organization_id']}/tokens/{stranger['token_id']}",
    ):
        assert platform.get(path).status == 404, path


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_comes_in_is_answered_and_never_with_a_500(data, untouched, platform, somebody):
    row = data.draw(st.sampled_from(WITH_BODY))
    members = sorted(
        {name for found in WRONG.values() for name in found} | {"monthly_spend", "mode"}
    )
    body = data.draw(st.dictionaries(st.sampled_from(members), _JSON, max_size=5))
    caller = somebody if row.personal else platform
    answer = caller.send(row.method, row.address(elsewhere(untouched)), dumped(body))
    assert answer.status in {200, 201, 202, 400, 404, 409, 422}


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=st.binary(max_size=200))
def test_whatever_bytes_come_in_are_answered_and_never_with_a_500(raw, platform):
    answer = platform.send("POST", "organizations", raw)
    assert answer.status in {400, 422}


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(header=st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=200))
def test_whatever_header_comes_in_is_no_token(header):
    answer = Caller().get("organizations", {"Authorization": header})
    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_host_that_is_not_ours_is_refused_as_a_problem(platform):
    answer = platform.get("organizations", {"Host": "evil.example"})
    assert (answer.status, answer.code) == (400, "bad_request")
    assert BASE not in answer.body["detail"]
