"""An operation that has to go says so in the schema and with whatever it answers."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.test import override_settings
from django.urls import path
from drf_spectacular.generators import SchemaGenerator

from tenants.access.models import TokenScope
from tenants.api.deprecation import Deprecated
from tenants.api.endpoint import ApiView, Call, Out, Reply, endpoint
from tests.api.callers import Caller, platform_caller

GOING = Deprecated(
    since=date(2026, 11, 26), until=date(2027, 11, 26), instead="Use `GET /organizations`."
)
DEPRECATION, SUNSET = "@1795651200", "Fri, 26 Nov 2027 00:00:00 GMT"


class Old(ApiView):
    """Made up: an operation that goes, beside one that stays."""

    @endpoint(
        "oldThing",
        TokenScope.ORGANIZATIONS_READ,
        summary="Old",
        gives={200: Out},
        deprecated=GOING,
    )
    def get(self, call: Call) -> Reply:
        """Say nothing."""
        return Reply({})

    @endpoint("newThing", TokenScope.ORGANIZATIONS_READ, summary="New", gives={200: Out})
    def post(self, call: Call) -> Reply:
        """Say nothing, for long."""
        return Reply({})


urlpatterns = [path("api/v1/old", Old.as_view())]


@pytest.fixture
def caller() -> Iterator[Caller]:
    with override_settings(ROOT_URLCONF=__name__):
        yield platform_caller()


def told(headers: Any) -> tuple[Any, ...]:
    return tuple(headers.get(name) for name in ("Deprecation", "Sunset", "Link"))


def test_every_answer_says_since_when_until_when_and_what_instead(caller, nobody):
    link = '<http://gateway.test/api/v1/docs>; rel="deprecation"; type="text/html"'
    for who, status in ((caller, 200), (nobody, 401)):
        answer = who.get("old")
        assert answer.status == status
        assert told(answer.headers) == (DEPRECATION, SUNSET, link)
    assert told(caller.post("old", {}).headers) == (None, None, None)


def test_the_schema_says_it_too():
    generator = SchemaGenerator(patterns=urlpatterns)
    operations = generator.get_schema(public=True)["paths"]["/api/v1/old"]
    assert operations["get"]["deprecated"] is True
    assert operations["get"]["description"].startswith("Deprecated since 2026-11-26")
    assert "Use `GET /organizations`." in operations["get"]["description"]
    assert "deprecated" not in operations["post"]


def test_nothing_goes_within_a_year():
    with pytest.raises(ValueError, match="twelve months"):
        Deprecated(since=date(2026, 11, 26), until=date(2027, 11, 25), instead="Nothing.")
