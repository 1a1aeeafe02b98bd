"""What is a suspect and what is not, and what becomes of one; the rest costs a single look."""

import json
import random
import string

import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from tenants.common import scope
from tenants.common.tokens import TokenKind, mint
from tenants.keys import tripwire
from tenants.keys.tripwire import Place, screen, suspects
from tenants.organizations.models import Announcement
from tests.api.callers import organization_caller
from tests.keys.keyring import fresh, registered

KEY = "HQSxGm3vTb8yLw5kZr2nXc7dJp4fUg6Y"
TOKENS = [mint(kind).reveal() for kind in TokenKind]
around = st.text(max_size=30)
boundary = st.sampled_from(list(" \n\t\r\f\b\"'.,:;()[]{}<>=&?_-è“”\0"))


def found(text: str) -> list[str]:
    octets = text.encode()
    return [octets[one.start : one.stop].decode() for one in suspects(octets)]


@given(before=around, left=boundary, right=boundary, after=around, ascii_only=st.booleans())
def test_a_key_that_stands_alone_is_a_suspect_in_text_and_in_json(
    before, left, right, after, ascii_only
):
    text = before + left + KEY + right + after
    assert KEY in found(text)
    assert KEY in found(json.dumps({"content": text}, ensure_ascii=ascii_only))


@given(before=around, token=st.sampled_from(TOKENS))
def test_a_token_of_ours_is_found_by_its_checksum(before, token):
    assert token in found(f"{before} {token} ")
    other = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert found(other) == []


@given(seed=st.integers(0, 10_000))
def test_identifiers_digests_and_base64_are_no_suspects(seed):
    generator = random.Random(seed)
    hexadecimal = generator.randbytes(16).hex()
    blob = "".join(generator.choices(string.ascii_letters + string.digits + "+/", k=2_000))
    for text in (
        hexadecimal,
        hexadecimal.upper(),
        f"id={hexadecimal}-{generator.randbytes(32).hex()}",
        f"data:image/png;base64,{blob}==",
        "x" + KEY,
        KEY + "7",
        KEY[:31],
        "/" + KEY,
    ):
        assert found(json.dumps({"content": text})) == []


def test_what_is_masked_is_the_secret_and_nothing_else(organization, workspace):
    registered(workspace, KEY)
    text = f'{{"a": "{KEY}", "b": "\\n{KEY}", "c": "{KEY[::-1]}", "d": "{TOKENS[2]}"}}'.encode()
    masked = screen(text, suspects(text), seen_in=organization.id, place=Place.PROMPT)
    assert json.loads(masked) == {"a": "****", "b": "\n****", "c": KEY[::-1], "d": "****"}


def test_an_alert_names_the_key_and_the_place_and_never_the_secret(
    organization, workspace, stranger
):
    key = registered(workspace, KEY)
    text = KEY.encode()
    for place in (Place.PROMPT, Place.PROMPT, Place.ANSWER):
        screen(text, suspects(text), seen_in=stranger.id, place=place)
    with scope.tenant(organization.id):
        rows = list(Announcement.objects.filter(kind="key.leaked").order_by("id"))
    assert [row.data["place"] for row in rows] == [Place.PROMPT, Place.ANSWER]
    assert rows[0].data == {
        "key_id": str(key.pk),
        "last4": "Ug6Y",
        "status": "pending",
        "place": "gateway_prompt",
        "masked": False,
    }
    assert rows[0].workspace_id == workspace.pk
    with scope.tenant(stranger.id):
        assert not Announcement.objects.exists()


def test_a_database_that_does_not_answer_stops_nothing(organization, monkeypatch):
    def down(*_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(tripwire, "_look_up", down)
    monkeypatch.setattr(tripwire, "_report_token", down)
    text = f"{KEY} {TOKENS[0]}".encode()
    assert screen(text, suspects(text), seen_in=organization.id, place=Place.API) == (
        f"{KEY} ****".encode()
    )


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_key_pasted_into_a_name_is_masked_there(organization, workspace, made_up, elsewhere):
    alice, plain, known = organization_caller(organization), made_up(), made_up()
    registered(workspace, known)
    pasted = known if elsewhere else plain
    path = f"workspaces/{workspace.pk}/keys"
    answer = alice.post(path, {"name": f"chiave {pasted}", "key": plain})
    assert (answer.status, answer.body["name"]) == (202, "chiave ****")
    named = alice.patch(f"keys/{answer.body['id']}", {"name": f"<{known}> {TOKENS[1]}"})
    assert named.body["name"] == "<****> ****"
    with scope.tenant(organization.id):
        told = set(
            Announcement.objects.filter(kind__endswith="leaked").values_list("kind", flat=True)
        )
    assert told == {"key.leaked", "token.leaked"}
    assert fresh(registered(workspace, plain)).status == "pending"
