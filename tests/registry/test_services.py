"""A model is made: what it says, which key it uses, who may have its name."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from tenants.common import scope, tokens
from tenants.common.problems import Conflict, Invalid
from tenants.keys import services as keys
from tenants.keys.models import MistralKey
from tenants.organizations import services as organizations
from tenants.organizations.models import AuditEvent
from tenants.registry import services, status
from tests import factories
from tests.factories import ACTOR
from tests.keys.keyring import checked, registered
from tests.registry.steps import FINE_TUNED, create, models_of, refused, tokens_of, verbs


def test_a_model_is_ready_with_a_token_shown_once_and_defaults_of_its_own(workspace, key):
    model, token = create(
        workspace,
        key=key,
        purposes=["deep_thought", "question_answering", "deep_thought"],
        defaults={"temperature": Decimal("0.3"), "max_tokens": 400, "safe_prompt": True},
        external_id="42",
    )
    assert status.of(model, timezone.now()) is None
    assert (model.key, model.workspace, model.context_size) == (key, workspace, 262144)
    assert model.purposes == ["question_answering", "deep_thought"]
    assert model.defaults == {"temperature": 0.3, "max_tokens": 400, "safe_prompt": True}
    assert tokens.kind_of(token.reveal()) is tokens.TokenKind.MODEL
    (kept,) = tokens_of(model)
    assert bytes(kept.digest) == tokens.digest(token.reveal())
    assert token.reveal() not in str(vars(kept))
    assert verbs(model) == ["model.created"]


def defaults(organization) -> list[str]:
    return [model.name for model in models_of(organization) if model.use_as_default]


def test_one_model_is_the_default_and_whoever_becomes_it_ends_the_one_before(workspace, key):
    organization = workspace.organization
    first, _ = create(workspace, key=key, name="First", use_as_default=True)
    second, _ = create(workspace, key=key, name="Second", use_as_default=True)
    assert defaults(organization) == ["Second"]
    first.use_as_default = False
    services.update_model(actor=ACTOR, model=first, changes={"use_as_default": True})
    assert defaults(organization) == ["First"]
    with scope.tenant(organization.pk):
        changed = AuditEvent.objects.filter(verb="model.updated").order_by("id")
        facts = [(one.target_id, one.changed) for one in changed]
    told = ["use_as_default"]
    assert facts == [(one.pk, told) for one in (first, second, first)]
    services.retire_model(actor=ACTOR, model=first)
    second.use_as_default = False
    services.update_model(actor=ACTOR, model=second, changes={"use_as_default": True})
    assert "Second" in defaults(organization)


def test_of_many_that_become_the_default_at_once_one_is_it(workspace, key):
    made = [create(workspace, key=key, name=f"N {number}")[0] for number in range(6)]

    def prefer(model) -> None:
        try:
            services.update_model(actor=ACTOR, model=model, changes={"use_as_default": True})
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(prefer, made, timeout=30))
    assert len(defaults(workspace.organization)) == 1


def test_who_sees_one_workspace_only_does_not_end_the_default_of_another(workspace, key, made_up):
    create(workspace, key=key, use_as_default=True)
    other = factories.workspace(workspace.organization)
    other.organization = workspace.organization
    its_key = checked(registered(other, made_up(organization="aurora", workspace="main")))
    model, _ = create(other, key=its_key, name="Other")
    with scope.confinement():
        scope.confine({other.pk})
        refused(
            lambda: services.update_model(
                actor=ACTOR, model=model, changes={"use_as_default": True}
            ),
            Conflict,
            "default_taken",
        )
    assert defaults(workspace.organization) == ["Assistente"]


@pytest.mark.parametrize("mistral_model", ["mistral-small-2603", "mistral-embed", FINE_TUNED])
def test_every_model_that_the_key_sees_may_be_registered(workspace, key, mistral_model):
    assert create(workspace, key=key, mistral_model=mistral_model)[0].mistral_model == mistral_model


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("mistral-smal-latest", "mistral-small-latest"),
        ("Mistral-Large", "mistral-large-latest"),
        ("mistral-small-2506", "mistral-small-2603"),
        ("codestral", "codestral-embed"),
        ("ft:mistral-small-2603:aurora-claims:20260310:00000000", FINE_TUNED),
    ],
)
def test_a_model_that_the_key_does_not_see_is_refused_with_near_matches(
    workspace, key, wanted, near
):
    problem = refused(
        lambda: create(workspace, key=key, mistral_model=wanted), Invalid, "model_not_available"
    )
    assert problem.errors[0].pointer == "/model"
    assert near in problem.members["near_matches"]
    assert near in problem.detail
    assert len(problem.members["near_matches"]) <= 6
    assert models_of(workspace.organization) == []


def test_a_model_like_no_other_is_refused_without_a_guess(workspace, key):
    problem = refused(
        lambda: create(workspace, key=key, mistral_model="zzz"), Invalid, "model_not_available"
    )
    assert problem.members["near_matches"] == []


def test_without_a_wish_the_valid_key_that_lives_longest_and_sees_the_model_is_taken(
    workspace, made_up
):
    def valid(**facts):
        return checked(registered(workspace, made_up(organization="aurora"), **facts))

    soon = valid(expires_on=date(2199, 1, 1))
    later = valid(expires_on=date(2199, 6, 1))
    blind = checked(registered(workspace, made_up(organization="borea")))
    registered(workspace, made_up(organization="aurora"))  # still pending
    assert create(workspace, mistral_model=FINE_TUNED, name="a")[0].key == later
    keys.delete_key(actor=ACTOR, key=later, force=True)
    assert create(workspace, mistral_model=FINE_TUNED, name="b")[0].key == soon
    assert create(workspace, name="c")[0].key == blind, "no date at all is the longest life"


def test_without_any_key_the_answer_says_so(workspace):
    problem = refused(lambda: create(workspace), Conflict, "no_usable_key")
    assert "key_status" not in problem.members


def test_without_a_valid_key_the_answer_says_so(workspace, made_up):
    pending = registered(workspace, made_up(behaviour={"error": "billing_inactive"}))
    while_pending = refused(lambda: create(workspace), Conflict, "no_usable_key").detail
    checked(pending)
    assert refused(lambda: create(workspace), Conflict, "no_usable_key").detail != while_pending


@pytest.mark.parametrize("error", ["billing_inactive", "service_unavailable", None])
def test_a_wished_key_must_be_valid(workspace, made_up, error):
    key = registered(workspace, made_up(behaviour={"error": error}))
    if error:
        key = checked(key)
    problem = refused(lambda: create(workspace, key=key), Conflict, "no_usable_key")
    assert problem.members["key_status"] == key.status
    assert models_of(workspace.organization) == []


def test_a_valid_key_whose_date_is_over_since_its_check_is_not_usable(workspace, key):
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(expires_on=date(2020, 1, 1))
    refused(lambda: create(workspace, key=key), Conflict, "no_usable_key")
    refused(lambda: create(workspace), Conflict, "no_usable_key")


def test_a_key_of_another_workspace_or_organization_is_as_if_it_were_not_there(
    workspace, stranger, made_up
):
    other = factories.workspace(workspace.organization)
    neighbours = checked(registered(other, made_up()))
    strangers = checked(registered(factories.default_workspace(stranger), made_up()))
    deleted = keys.delete_key(actor=ACTOR, key=checked(registered(workspace, made_up())))
    answers = {
        refused(lambda key=key: create(workspace, key=key), Invalid, "not_found").detail
        for key in (neighbours, strangers, deleted)
    }
    assert len(answers) == 1
    assert models_of(workspace.organization) == []


def test_a_workspace_of_another_organization_is_not_found(workspace, stranger, key):
    problem = refused(
        lambda: create(factories.default_workspace(stranger), organization=workspace.organization),
        Invalid,
        "not_found",
    )
    assert problem.errors[0].pointer == "/workspace_id"


def test_an_archived_workspace_takes_no_model(organization, made_up):
    workspace = factories.workspace(organization)
    checked(registered(workspace, made_up()))
    workspace = organizations.archive_workspace(actor=ACTOR, workspace=workspace)
    refused(lambda: create(workspace, organization=organization), Conflict, "workspace_archived")


def test_a_name_is_taken_once_whatever_its_letters_and_free_again_after_retirement(workspace, key):
    first, _token = create(workspace, name="Assistente")
    refused(lambda: create(workspace, name="ASSISTENTE"), Conflict, "name_taken")
    other, _token = create(workspace, name="Altro")
    refused(
        lambda: services.update_model(actor=ACTOR, model=other, changes={"name": "assistente"}),
        Conflict,
        "name_taken",
    )
    services.retire_model(actor=ACTOR, model=first)
    create(workspace, name="assistente")


@pytest.mark.parametrize(
    ("facts", "pointer", "code"),
    [
        ({"purposes": []}, "/purposes", "purpose_required"),
        ({"purposes": ["poetry"]}, "/purposes", "purpose_unknown"),
        ({"context_size": 0}, "/context_size", "out_of_range"),
        ({"context_size": 2**31}, "/context_size", "out_of_range"),
        ({"timeout": -1}, "/timeout", "out_of_range"),
        ({"timeout": True}, "/timeout", "out_of_range"),
        ({"defaults": {"temperature": 1.51}}, "/defaults/temperature", "out_of_range"),
        ({"defaults": {"temperature": -0.1}}, "/defaults/temperature", "out_of_range"),
        ({"defaults": {"temperature": math.nan}}, "/defaults/temperature", "out_of_range"),
        ({"defaults": {"temperature": True}}, "/defaults/temperature", "out_of_range"),
        ({"defaults": {"temperature": "0.5"}}, "/defaults/temperature", "out_of_range"),
        ({"defaults": {"max_tokens": 0}}, "/defaults/max_tokens", "out_of_range"),
        ({"defaults": {"max_tokens": 1.5}}, "/defaults/max_tokens", "out_of_range"),
        ({"defaults": {"safe_prompt": 1}}, "/defaults/safe_prompt", "out_of_range"),
        ({"defaults": {"top_p": 1}}, "/defaults", "unknown_default"),
        (
            {"use_as_default": True, "visible_to_tenant": False},
            "/use_as_default",
            "default_needs_visibility",
        ),
    ],
)
def test_a_fact_that_cannot_be_is_refused_on_creation_and_on_change(
    workspace, key, facts, pointer, code
):
    problem = refused(lambda: create(workspace, **facts), Invalid, code)
    assert problem.errors[0].pointer == pointer
    assert models_of(workspace.organization) == []
    model, _token = create(workspace)
    refused(lambda: services.update_model(actor=ACTOR, model=model, changes=facts), Invalid, code)
    (stored,) = models_of(workspace.organization)
    for field in stored._meta.fields:
        assert getattr(stored, field.attname) == getattr(model, field.attname)
    assert verbs(model) == ["model.created"]


@pytest.mark.parametrize("temperature", [0, 1.5, 1, Decimal("0.70")])
def test_temperatures_that_mistral_takes_are_taken(workspace, key, temperature):
    model, _token = create(workspace, defaults={"temperature": temperature})
    assert model.defaults == {"temperature": float(temperature)}


def test_all_breaches_are_told_at_once(workspace, key):
    problem = refused(
        lambda: create(workspace, purposes=[], timeout=0, defaults={"max_tokens": 0}),
        Invalid,
        "purpose_required",
    )
    assert [error.pointer for error in problem.errors] == [
        "/purposes",
        "/timeout",
        "/defaults/max_tokens",
    ]
