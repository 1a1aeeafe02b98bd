"""The catalogue of Mistral's models: names lead to snapshots, near names are found."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.registry import catalog

unhurried = settings(deadline=None)  # the machine may be busy


def found(name: str) -> catalog.CatalogModel:
    model = catalog.find(name)
    assert model is not None
    return model


@pytest.mark.parametrize(
    ("name", "snapshot"),
    [
        ("mistral-small-latest", "mistral-small-2603"),
        ("mistral-small-2603", "mistral-small-2603"),
        ("mistral-medium", "mistral-medium-3-5"),
        ("voxtral-mini-latest", "voxtral-mini-2602"),
        ("magistral-small-latest", "mistral-small-2603"),
        ("mistral-large-4-0", "mistral-large-4"),
        ("zai-glm-latest", "zai-glm-5-3"),
        ("pixtral-large-latest", "pixtral-large-2411"),
        ("unheard-of", "unheard-of"),
        ("ft:mistral-small-2603:x:20260101:abc", "ft:mistral-small-2603:x:20260101:abc"),
    ],
)
def test_a_name_leads_to_its_snapshot(name, snapshot):
    assert catalog.canonical(name) == snapshot


def test_every_name_leads_to_a_model_and_a_snapshot_to_itself():
    loaded = catalog.load()
    for snapshot in loaded.names.values():
        assert snapshot in loaded.models
        assert catalog.canonical(snapshot) == snapshot
    assert len(loaded.models) > 50


def test_a_model_has_its_facts():
    model = found("mistral-large-latest")
    assert (model.id, model.display_name, model.stage) == (
        "mistral-large-2512",
        "Mistral Large 3",
        "GA",
    )
    assert (model.family, model.category, model.context_length) == (
        "completion",
        "completion",
        262144,
    )
    assert "mistral-large-latest" in model.aliases
    assert "/v1/chat/completions" in model.endpoints
    assert "completion_chat" in model.capabilities
    assert "classification" not in model.capabilities
    assert model.released_on == date(2025, 12, 2)
    assert not model.is_retired(date(2026, 11, 23))


def test_a_deprecated_model_is_retired_after_its_last_day_and_names_its_successor():
    model = found("mistral-medium-2508")
    assert model.replacement == "mistral-medium-3-5"
    assert not model.is_retired(date(2026, 8, 31))
    assert model.is_retired(date(2026, 9, 1))
    assert found("codestral-2405").is_retired(date(2020, 1, 1))


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("ft:mistral-small-2603:suffix:20260310:7e77", "mistral-small-2603"),
        ("ft:mistral-small-latest:suffix:20260310:7e77", "mistral-small-2603"),
        ("ft:classifier:ministral-3b-2512:suffix:20260310:7e77", "ministral-3b-2512"),
        ("ft:", None),
        ("ft:classifier", None),
        ("mistral-small-2603", None),
    ],
)
def test_a_fine_tuned_name_tells_its_base(name, base):
    assert catalog.base_of(name) == base


def test_near_matches_are_few_spelled_alike_and_best_first():
    seen = sorted(catalog.load().names)
    assert catalog.near_matches("MISTRAL-SMAL-LATEST", seen)[0] == "mistral-small-latest"
    assert len(catalog.near_matches("mistral", seen)) <= 5
    assert catalog.near_matches("qqq", seen) == []
    assert catalog.near_matches("mistral", []) == []


@unhurried
@given(name=st.text(max_size=200), candidates=st.lists(st.text(max_size=30), max_size=20))
def test_near_matches_are_always_of_the_candidates(name, candidates):
    assert set(catalog.near_matches(name, candidates)) <= set(candidates)
