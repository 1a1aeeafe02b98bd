"""Italian answers are Italian to the last member: no sentence of a library slips through."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils import translation
from django.utils.functional import Promise
from rest_framework import serializers

from tenants.access import wording
from tenants.api import urls
from tenants.api.endpoint import In
from tests import people
from tests.api.test_bad_input import GOOD, WRONG, dumped, filled
from tests.api.world import WholeWorld, whole_world


@pytest.fixture(scope="module")
def untouched() -> WholeWorld:
    return whole_world()


def kinds(kind: type[In]) -> Iterator[type[In]]:
    yield kind
    for other in kind.__subclasses__():
        yield from kinds(other)


def fields_of(field: Any) -> Iterator[serializers.Field[Any, Any, Any, Any]]:
    yield field
    for inner in getattr(field, "fields", {}).values():
        yield from fields_of(inner)
    if (child := getattr(field, "child", None)) is not None:
        yield from fields_of(child)


def words(sentence: Any, language: str) -> str:
    with translation.override(language):
        return str(sentence)


def test_every_sentence_that_a_field_can_say_is_ours_in_italian():
    assert urls.urlpatterns  # reading the addresses imports every kind of body there is
    said = {
        message
        for kind in kinds(In)
        for field in fields_of(kind())
        for message in field.error_messages.values()
    }
    assert len(said) > len(wording.OF_FIELDS)
    assert all(isinstance(sentence, Promise) for sentence in said)
    same = {words(one, "en") for one in said if words(one, "en") == words(one, "it")}
    assert same == set()


@pytest.mark.parametrize("address", WRONG)
def test_no_english_is_said_of_a_wrong_member_to_who_reads_italian(address, untouched, platform):
    path, good = filled(address, untouched), dumped(GOOD[address]).decode()
    for member, values in WRONG[address].items():
        for value in values:
            body = filled(good, untouched).encode()[:-1]
            comma = b", " if body != b"{" else b""
            raw = body + comma + dumped({member: value})[1:]
            told = {
                language: platform.send("POST", path, raw, {"Accept-Language": language}).body
                for language in ("it", "en")
            }
            english = {error["detail"] for error in told["en"]["errors"]}
            italian = {error["detail"] for error in told["it"]["errors"]}
            assert english, (member, value)
            assert not english & italian, (member, value)
            assert told["it"]["title"] != told["en"]["title"]


@pytest.mark.parametrize(
    "path",
    [
        "organizations?limit=ten",
        "organizations?limit=0",
        "organizations?limit=" + "9" * 2000,
        "organizations?cursor=%00",
        "spend?organization_id=x",
        "keys/{key_id}?force=perhaps",
        "catalog?include_retired=perhaps",
        "workspaces/{workspace_id}/keys?search=" + "x" * 121,
    ],
)
def test_no_english_is_said_of_a_wrong_query_either(path, untouched, platform):
    method = "DELETE" if "force" in path else "GET"
    address = filled(path, untouched)
    told = [
        platform.send(method, address, headers={"Accept-Language": language}).body["errors"]
        for language in ("it", "en")
    ]
    (italian,), (english,) = told
    assert italian["code"] == english["code"]
    assert italian["detail"] != english["detail"]


def test_a_method_that_is_not_taken_is_told_in_italian(platform):
    answer = platform.send("PUT", "organizations", headers={"Accept-Language": "it"})
    assert answer.body["detail"] == 'Il metodo "PUT" non è consentito.'


@pytest.mark.parametrize("password", ["kurz", "12345678", "password", "alice.rossi", ""])
def test_what_is_said_of_a_password_is_italian(password):
    somebody = people.person("Alice Rossi")
    said: dict[str, list[str]] = {}
    for language in ("en", "it"):
        with translation.override(language), pytest.raises(ValidationError) as refused:
            validate_password(password, somebody)
        said[language] = refused.value.messages
    assert len(said["it"]) == len(said["en"]) > 0
    assert not set(said["it"]) & set(said["en"])
