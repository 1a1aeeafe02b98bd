"""Abuse: rights written into a body, ids of others in a body, and patterns that take for ever."""

import re
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest

from tenants.access.addresses import read_network
from tenants.billing.vat import VatError
from tenants.billing.vat import read as read_vat_number
from tenants.common.text import normalise_domain, normalise_email, normalise_name
from tenants.mistral.masking import mask_key_shaped
from tests import people
from tests.api.callers import Caller, organization_caller
from tests.api.rows import Row
from tests.api.test_permission_table import TABLE
from tests.api.world import WholeWorld, everything, whole_world
from tests.people import session_caller

BODIES = [row for row in TABLE if row.body is not None]
#: What nobody may write: columns, rights, and names that some languages hide things behind.
PRIVILEGED = ("id", "created_at", "created_by", "is_staff", "sealed", "digest", "__proto__")
LONG = 100_000
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def untouched() -> WholeWorld:
    return whole_world()


@pytest.fixture(scope="module")
def somebody() -> Caller:
    return session_caller(people.person("Nora"))


def body_of(row: Row, found: WholeWorld) -> Any:
    assert row.body is not None
    return row.body(found)


@pytest.mark.parametrize("row", BODIES, ids=str)
def test_no_body_can_write_what_is_not_declared(row, untouched, platform, somebody):
    before = everything(untouched.organization.pk)
    right = body_of(row, untouched)
    surplus = [name for name in PRIVILEGED if name not in right]
    caller = somebody if row.personal else platform
    answer = caller.call(
        row.method, row.address(untouched), right | dict.fromkeys(surplus, "00000000")
    )
    assert answer.status in {403, 422}, answer.raw
    if answer.status == 422:
        unknown = {name for name, code in answer.pointers.items() if code == "unknown_field"}
        assert {f"/{name}" for name in surplus} <= unknown
    assert everything(untouched.organization.pk) == before


def test_ids_of_others_in_a_body_lead_nowhere(untouched):
    """Charlie's own addresses, with ids of Alice's in the body."""
    his = whole_world()
    charlie = organization_caller(his.organization)
    before = everything(untouched.organization.pk)
    named = 0
    for row in BODIES:
        theirs = body_of(row, untouched)
        if row.personal or not _ID.search(str(theirs)):
            continue
        named += 1
        answer = charlie.call(row.method, row.address(his), theirs)
        took_nothing = answer.status == 202 and answer.body["accepted"] == 0  # usage, in bulk
        assert took_nothing or answer.status in {403, 404, 422}, (str(row), answer.raw)
    assert named > 4
    assert everything(untouched.organization.pk) == before


HOSTILE = {
    "one letter": "a" * LONG,
    "dots": "a." * (LONG // 2),
    "at signs": "@" * LONG,
    "blanks": " " * LONG + "x",
    "hyphens": "-" * LONG + "a",
    "digits": "1" * LONG,
    "nearly an address": "a" * (LONG // 2) + "@" + "b." * (LONG // 4) + "!",
    "slashes": "/" * LONG,
    "nearly a key": ("A1" * 16 + "-") * (LONG // 33),
    "combining": "e" + "\u0301" * LONG,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_reader_of_texts_takes_long_for_a_hostile_one(kind):
    text = HOSTILE[kind]
    for read in (
        normalise_name,
        normalise_email,
        normalise_domain,
        mask_key_shaped,
        read_network,
        lambda one: read_vat_number(one, "IT"),
    ):
        began = time.process_time()
        with suppress(ValueError, VatError):
            read(text)
        assert time.process_time() - began < 1, read


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_request_takes_long_for_a_hostile_text(kind, untouched, platform):
    text = HOSTILE[kind]
    began = time.process_time()
    answer = platform.post(
        "organizations", {"name": text, "slug": text, "owner_email": text, "timezone": text}
    )
    assert answer.status == 422
    query = urlencode(dict.fromkeys(("search", "status", "cursor"), text[:2_000]))
    assert platform.get(f"workspaces/{untouched.workspace.pk}/keys?{query}").status == 422
    assert time.process_time() - began < 2
    assert len(answer.raw) < 4_000, "nothing of it is echoed"
