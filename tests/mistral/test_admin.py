"""The Admin API's client: either header, every page, and no shape that could make it fall over."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisuru_mistral.simulator.keys import WELL_KNOWN
from aisuru_mistral.simulator.server import SimulatorServer
from tenants.common.secrets import Secret
from tenants.mistral import admin, admin_usage, admin_wire, errors
from tenants.mistral.admin import AdminClient, AdminHeader
from tenants.mistral.asking import ClientTimeouts
from tests.mistral.far_side import FarSide, answer, answering, free_address

KEY = "QwErTyUiOpAsDfGhJkLzXcVbNm012345"
READERS = (
    admin_usage.read_usage_month,
    admin_wire.read_spend_limit,
    admin_wire.read_rate_limit,
    admin_wire.read_workspaces,
    admin_wire.read_members,
    admin_wire.read_api_keys,
    admin_wire.read_roles,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("completion", "ocr", "models", "prices", "libraries_api", "pages", "limits"),
                    *("keys", "members", "invites", "items", "workspace_roles", "uuid", "email"),
                    *("value", "value_paid", "billing_metric", "price", "key_id", "raw_roles"),
                    *("workspaces", "spend_limit", "tokens_limits_by_model", "hidden_key", "a::b"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@pytest.fixture
def simulator():
    with SimulatorServer() as server:
        yield server


def client_of(simulator, name="admin", header=None):
    return AdminClient(simulator.url, Secret(WELL_KNOWN[name]), header=header)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@settings(max_examples=30)
@given(document=st.dictionaries(st.text(max_size=3), json_values, max_size=2) | json_values)
def test_no_json_makes_a_reader_fall_over(reader, document):
    body = json.dumps(document).encode()
    try:
        reader(body)
    except errors.WireError:
        assert not isinstance(document, dict)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused_without_a_word_of_it(body):
    with pytest.raises(errors.WireError) as caught:
        admin_wire.read_api_keys(body)
    assert "html" not in str(caught.value)


def test_the_header_that_guides_name_is_tried_first_and_kept(simulator):
    with client_of(simulator) as client:
        client.rate_limit()
        client.spend_limit()
    assert client.header is AdminHeader.X_API_KEY
    assert [request.auth for request in simulator.state.requests] == ["x-api-key"] * 2


def test_after_a_401_the_bearer_is_tried_and_kept(simulator):
    with client_of(simulator, "admin_by_bearer") as client:
        client.rate_limit()
        client.spend_limit()
    assert client.header is AdminHeader.BEARER
    auth = [request.auth for request in simulator.state.requests]
    assert auth == ["x-api-key", "bearer", "bearer"]


def test_a_header_that_was_chosen_is_not_changed(simulator):
    with (
        client_of(simulator, "admin_by_bearer", AdminHeader.X_API_KEY) as client,
        pytest.raises(errors.KeyRefusedError),
    ):
        client.rate_limit()
    assert len(simulator.state.requests) == 1


def test_an_ordinary_key_is_told_apart_from_a_wrong_one(simulator):
    with client_of(simulator, "valid") as client, pytest.raises(errors.KeyRefusedError) as caught:
        client.workspaces(1)
    assert caught.value.failure.error_class is errors.ErrorClass.ADMIN_KEY_REQUIRED


def test_the_simulators_answers_are_read_whole(simulator):
    simulator.state.ledger.today = lambda: date(2026, 10, 4)
    key = simulator.state.key("valid")
    line = simulator.state.ledger.line(
        key="valid",
        organization=key.organization.id,
        workspace=key.workspace.id,
        model="mistral-small-2603",
        service_tier="standard",
    )
    line.prompt_tokens, line.cached_tokens, line.completion_tokens = 100, 64, 7
    with client_of(simulator) as client:
        usage = client.usage(date(2026, 10, 1))
        workspaces = admin.every(client.workspaces)
        members = admin.every(client.members)
        keys = admin.every(client.api_keys)
        roles = client.roles()
        limit, rates = client.spend_limit(), client.rate_limit()
    assert {(row.group, row.value, row.paid, row.day) for row in usage.rows} == {
        ("input", 36, 36, date(2026, 10, 4)),
        ("cached", 64, 64, date(2026, 10, 4)),
        ("output", 7, 7, date(2026, 10, 4)),
    }
    assert {price.price for price in usage.prices} >= {Decimal("0.00000012")}
    assert (usage.currency, usage.skipped) == ("EUR", 0)
    assert usage.starts_at == datetime(2026, 10, 1, tzinfo=UTC)
    assert {row.name for row in workspaces.rows} >= {"Default", "Customer support"}
    assert {row.email for row in members.rows} == {"ada@aurora.example", "bruno@aurora.example"}
    assert {row.last4 for row in keys.rows} >= {"0001", "0002", "0003"}
    assert "organization_admin" in {row.name for row in roles.rows}
    assert (limit.limit, limit.currency) == (500, "EUR")
    assert rates.requests_per_second == 6
    assert workspaces.skipped == members.skipped == keys.skipped == rates.models.skipped == 0


def workspace(number):
    return {"uuid": f"w{number}", "name": f"W {number}", "is_default": False}


def paging(total, sent, *, broken=()):
    """Answer pages of workspaces by number, some rows of an unknown shape."""

    def script(request, connection):
        query = parse_qs(urlsplit(request.path).query)
        page, size = int(query["page"][0]), int(query["page_size"][0])
        rows = [
            "odd" if number in broken else workspace(number)
            for number in range((page - 1) * size, min(page * size, total))
        ]
        sent.append(page)
        connection.sendall(answer(200, {"items": rows, "total": total, "page": page}))

    return script


@pytest.mark.parametrize(
    ("total", "pages"), [(0, [1]), (100, [1]), (101, [1, 2]), (250, [1, 2, 3])]
)
def test_every_page_is_asked_for_once(total, pages):
    sent: list[int] = []
    with (
        FarSide(paging(total, sent, broken={3})) as far_side,
        AdminClient(far_side.url, Secret(KEY)) as client,
    ):
        listed = admin.every(client.workspaces)
    assert sent == pages
    assert (len(listed.rows) + listed.skipped, listed.sent) == (total, total)
    assert listed.skipped == (1 if total > 3 else 0)


def test_keys_without_a_total_end_with_a_short_page():
    def script(request, connection):
        offset = int(parse_qs(urlsplit(request.path).query)["offset"][0])
        rows = [{"key_id": f"k{number}"} for number in range(offset, min(offset + 100, 100))]
        connection.sendall(answer(200, {"keys": rows}))

    with FarSide(script) as far_side, AdminClient(far_side.url, Secret(KEY)) as client:
        assert len(admin.every(client.api_keys).rows) == 100
    assert len(far_side.requests) == 2


def test_a_plaintext_key_in_an_answer_is_not_kept():
    row = {"key_id": "k", "key": KEY, "hidden_key": "QwEr...2345"}
    listed = admin_wire.read_api_keys(json.dumps({"keys": [row]}).encode())
    assert KEY not in repr(listed)
    assert listed.rows[0].last4 == "2345"


@pytest.mark.parametrize("hidden", ["", KEY, "2345", "HQSx...", "x" * 600])
def test_a_form_that_is_not_masked_tells_no_last_four(hidden):
    listed = admin_wire.read_api_keys(
        json.dumps({"keys": [{"key_id": "k", "hidden_key": hidden}]}).encode()
    )
    assert listed.rows[0].last4 == ""


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, errors.QuotaError), (500, errors.OutageError), (503, errors.OutageError)],
)
def test_what_passes_is_told_as_worth_another_try(status, kind):
    script = answering(status, {"message": "Rate limit exceeded"}, {"retry-after": "7"})
    with (
        FarSide(script) as far_side,
        AdminClient(far_side.url, Secret(KEY)) as client,
        pytest.raises(kind) as caught,
    ):
        client.rate_limit()
    assert caught.value.failure.retryable
    assert caught.value.failure.retry_after_seconds == 7
    assert len(far_side.requests) == 1


def test_silence_is_an_outage():
    quick = ClientTimeouts(connect=0.5, read=0.2, total=0.3)
    for address in (free_address(),):
        with (
            AdminClient(address, Secret(KEY), timeouts=quick) as client,
            pytest.raises(errors.OutageError),
        ):
            client.roles()
