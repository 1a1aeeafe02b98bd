"""Scripts and styles: compressed, kept for a year by their digest, and few."""

import gzip
import re

import pytest
from django.test import Client

from tenants.organizations.roles import Role
from tests import people
from tests.api.world import WholeWorld, whole_world
from tests.console.pages import PAGES
from tests.people import session_caller

PACKED = {"Accept-Encoding": "gzip, deflate, br"}
FIRST_LOAD = 150_000


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    return whole_world()


def assets_of(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="(/static/[^"]+)"', page)


def test_files_are_compressed_and_kept_for_a_year_by_their_digest():
    client = Client()
    files = assets_of(client.get("/sign-in").content.decode())
    assert len(files) > 3
    for address in files:
        plain, packed = client.get(address), client.get(address, headers=PACKED)
        assert gzip.decompress(packed.content) == plain.content
        assert len(packed.content) < len(plain.content)
        assert int(packed["Content-Length"]) == len(packed.content)
        for answer in (plain, packed):
            assert "Accept-Encoding" in answer["Vary"]
            assert answer["Cache-Control"] == "max-age=31536000, public, immutable"
        bare = address.split("?")[0]
        assert "immutable" not in client.get(f"{bare}?v=0000000000")["Cache-Control"]
        assert "immutable" not in client.get(bare)["Cache-Control"]
        again = client.get(address, headers=PACKED | {"If-Modified-Since": packed["Last-Modified"]})
        assert (again.status_code, again.content) == (304, b"")
        refusing = client.get(address, headers={"Accept-Encoding": "gzip;q=0"})
        assert "Content-Encoding" not in refusing


def test_the_first_load_of_every_page_is_small(hers):
    client = session_caller(people.member(hers.organization, Role.ADMIN).person).client
    sizes: dict[str, int] = {}
    for row in PAGES:
        answer = row.send(client, hers) if row.method == "GET" else None
        if answer is None or "text/html" not in answer["Content-Type"]:
            continue
        first = len(answer.content)  # pages are not compressed: they hold secrets of forms
        for address in set(assets_of(answer.content.decode())):
            if address not in sizes:
                sizes[address] = len(client.get(address, headers=PACKED).content)
            first += sizes[address]
        assert first < FIRST_LOAD, f"{row}: {first}"
