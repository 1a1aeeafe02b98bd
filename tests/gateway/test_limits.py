"""A limit is never passed, by however many at once, and refuses only when headroom is gone."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from tenants.common import scope
from tenants.registry.models import RegisteredModel
from tenants.spend import pricebook
from tenants.spend.own_prices import price_by_base
from tenants.spend.pricing import Quantities, cost
from tests.factories import ACTOR
from tests.gateway import tenancy
from tests.gateway.tenancy import ask, post, question
from tests.keys.keyring import name_of


def test_at_the_limit_a_call_is_refused_with_figures_and_nothing_reaches_mistral(
    gateway, mistral, tenant
):
    tenant.limit("0.00")
    before = len(mistral.state.requests)
    refused = ask(gateway.url, tenant)
    assert refused.status_code == 402
    error = refused.json()
    assert error | {"message": "", "request_id": "", "resets_at": ""} == {
        "object": "error",
        "message": "",
        "type": "spending_limit_reached",
        "param": None,
        "code": "spending_limit_reached",
        "source": "gateway",
        "request_id": "",
        "limited": "organization",
        "limited_id": str(tenant.organization.id),
        "limit": "0.00",
        "spent": "0.00",
        "held": "0.00",
        "currency": "EUR",
        "resets_at": "",
    }
    assert "fewer tokens" in error["message"]
    assert error["resets_at"].endswith("Z")
    silent = post(gateway.url, tenant, "/v1/embeddings", {"input": "Hello"})
    assert "send less" in silent.json()["message"]
    assert error["request_id"] == refused.headers["x-request-id"]
    assert len(mistral.state.requests) == before
    assert tenant.events() == []
    assert tenant.holds() == []


def test_a_refusal_says_what_would_help_with_what_makes_the_call_dear(gateway, made_up):
    tenant = tenancy.make(made_up, mistral={"directives": {"delay": 2}})
    tenant.limit("0.00")
    picture = {"type": "image_url", "image_url": "https://x.example/a.png"}
    looked = ask(gateway.url, tenant, messages=[{"role": "user", "content": [picture]}])
    assert "whole context" in looked.json()["message"]
    assert "under way" not in looked.json()["message"].partition("pass the limit")[2]
    searched = ask(gateway.url, tenant, tools=[{"type": "web_search"}])
    assert searched.json()["code"] == "price_unknown"
    assert searched.json()["message"].startswith("What tools and connectors of Mistral's cost")
    tenant.limit("0.05")  # room for one answer of 60,000 tokens
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: ask(gateway.url, tenant, max_tokens=60_000), range(2)))
    refused = next(answer for answer in answers if answer.status_code == 402)
    assert "try again when the calls under way have ended" in refused.json()["message"]


@pytest.mark.parametrize("level", ["organization", "workspace", "model"])
def test_every_matching_limit_must_pass(gateway, tenant, level):
    tenant.limit("0.00", getattr(tenant, level))
    refused = ask(gateway.url, tenant)
    assert (refused.status_code, refused.json()["limited"]) == (402, level)
    tenant.limit("5.00", getattr(tenant, level))
    assert ask(gateway.url, tenant).is_success


def test_many_clients_at_once_never_pass_the_limit_and_use_all_of_it(gateway, mistral, made_up):
    # A worst case of 60,000 output tokens of this model costs 0.03 EUR: three fit at a time.
    tenant = tenancy.make(made_up, mistral={"directives": {"delay": 0.2, "answer_tokens": 2}})
    tenant.limit("0.10")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(gateway.url, tenant, max_tokens=60_000), range(16)))
    statuses = sorted(answer.status_code for answer in answers)
    accepted = statuses.count(200)
    assert set(statuses) == {200, 402}
    assert 1 <= accepted < 16
    for answer in answers:
        if answer.status_code == 402:
            error = answer.json()
            assert Decimal(error["spent"]) + Decimal(error["held"]) <= Decimal(error["limit"])
            assert Decimal(error["held"]) > 0  # refused because of calls under way, and it says so
    events = tenant.settled(accepted)
    assert len(events) == accepted
    assert tenant.balance().settled <= Decimal("0.10")
    assert ask(gateway.url, tenant, max_tokens=60_000).is_success  # what was held is free again


def test_calls_one_after_the_other_are_not_refused_for_holds_of_calls_that_are_over(
    gateway, tenant
):
    tenant.limit("0.04")  # room for one such worst case at a time
    for _ in range(8):
        assert ask(gateway.url, tenant, max_tokens=60_000, text="Say A").is_success


def test_a_model_without_a_price_is_refused_where_there_is_a_limit_and_flagged_where_not(
    gateway, mistral, made_up
):
    tenant = tenancy.make(made_up, mistral={"organization": "aurora", "workspace": "main"})
    tuned = next(row.id for row in mistral.state.find(tenant.plain).organization.fine_tuned)
    with scope.tenant(tenant.organization.id):
        RegisteredModel.objects.filter(pk=tenant.model.pk).update(mistral_model=tuned)
    tenancy.eventually(lambda: ask(gateway.url, tenant, model=tuned).is_success)
    event = tenant.settled()[-1]
    assert event.is_unpriced
    tenant.limit("100.00")
    refused = ask(gateway.url, tenant)
    assert (refused.status_code, refused.json()["code"]) == (402, "price_unknown")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_tools_whose_price_nobody_knows_are_refused_under_a_limit(gateway, mistral, tenant, path):
    question = [{"role": "user", "content": "Hello"}]
    body = {"messages": question} if "chat" in path else {"input": "Hello"}
    tenant.limit("100.00")
    refused = post(gateway.url, tenant, path, body | {"tools": [{"type": "web_search"}]})
    assert (refused.status_code, refused.json()["code"]) == (402, "price_unknown")
    assert path not in {call.path for call in mistral.state.calls(key=name_of(tenant.plain))}
    assert (tenant.holds(), tenant.events()) == ([], [])
    tool = {"type": "function", "function": {"name": "now", "parameters": {}}}
    allowed = post(gateway.url, tenant, path, body | {"tools": [tool]})
    assert allowed.status_code != 402


def test_a_fine_tuned_model_by_its_base_is_held_and_billed_at_the_bases_price(
    gateway, mistral, made_up
):
    tenant = tenancy.make(made_up, mistral={"organization": "aurora", "workspace": "main"})
    tuned = next(row.id for row in mistral.state.find(tenant.plain).organization.fine_tuned)
    with scope.tenant(tenant.organization.id):
        RegisteredModel.objects.filter(pk=tenant.model.pk).update(mistral_model=tuned)
    price_by_base(
        actor=ACTOR,
        organization=tenant.organization,
        mistral_model=tuned,
        base="mistral-small-2603",
    )
    tenant.limit("100.00")
    tenancy.eventually(lambda: ask(gateway.url, tenant, model=tuned).is_success)
    event = tenant.settled()[-1]
    base = pricebook.prices_for("mistral-small-2603", "EUR", event.occurred_at)
    used = Quantities(event.prompt_tokens, event.completion_tokens, event.cached_tokens)
    assert (event.requested_model, event.is_unpriced) == (tuned, False)
    assert event.cost == cost(used, base).amount


def test_a_worst_case_that_cannot_be_counted_is_refused(gateway, tenant):
    for members in ({"max_tokens": 5.5}, {"n": 100_000}, {"max_tokens": "many"}, {"n": 1.5}):
        refused = ask(gateway.url, tenant, **members)
        assert (refused.status_code, refused.json()["source"]) == (422, "gateway")
    assert tenant.holds() == []


def test_a_cap_may_be_written_as_a_float_and_be_larger_than_any_context(gateway, tenant):
    small = ask(gateway.url, tenant, max_tokens=5.0)
    assert (small.status_code, small.json()["usage"]["completion_tokens"] <= 5) == (200, True)
    tenant.limit("5.00")
    assert ask(gateway.url, tenant, max_tokens=2**40).status_code == 200
    tenant.limit("0.01")
    assert ask(gateway.url, tenant).status_code == 200
    refused = ask(gateway.url, tenant, max_tokens=2**40)
    assert refused.status_code == 402, "no less is held than the whole context"


def test_an_image_is_held_at_the_whole_context(gateway, tenant):
    part = {"type": "image_url", "image_url": "https://example.com/a.png"}
    messages = [{"role": "user", "content": [part]}]
    tenant.limit("0.01")
    refused = ask(gateway.url, tenant, **question() | {"messages": messages, "max_tokens": 1})
    assert refused.status_code == 402
    assert ask(gateway.url, tenant, max_tokens=1).is_success
