"""Batch jobs: held while Mistral works, metered once from their lines, at half price."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import httpx
import psycopg
import pytest
from django.utils import timezone
from mistralai.client import Mistral

from tenants.common import scope
from tenants.registry.models import ProviderResource
from tenants.spend import batches, recovery
from tenants.spend.models import BatchJob
from tests import factories
from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import SMALL, eventually, post, question
from tests.keys.keyring import checked, name_of, registered
from tests.mistral.far_side import answering
from tests.postgres import owner_url
from tests.registry.steps import create

JOBS = "/v1/batch/jobs"


def lines(count: int = 3, **body) -> bytes:
    message = {"role": "user", "content": "Say something about the weather"}
    request = {"messages": [message], "max_tokens": 20} | body
    rows = [{"custom_id": str(number), "body": request} for number in range(count)]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def slow(mistral):
    """Jobs take as long as the test wants."""
    before, mistral.state.batch_seconds = mistral.state.batch_seconds, 30
    yield
    mistral.state.batch_seconds = before


def uploaded(url, tenant, content: bytes, name: str = "lines.jsonl") -> str:
    answer = httpx.post(
        f"{url}/v1/files",
        files={"file": (name, content)},
        data={"purpose": "batch"},
        headers=tenant.headers,
        trust_env=False,
        timeout=30,
    )
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def job_of(tenant) -> BatchJob:
    with scope.tenant(tenant.organization.id):
        return BatchJob.objects.get(organization=tenant.organization)


def metered(tenant, seconds: float = 15) -> None:
    """Run the worker until the job is metered."""
    job = job_of(tenant)
    eventually(lambda: batches.meter_job(job.organization_id, job.id), seconds)


def spent(mistral, tenant) -> Decimal:
    bill: Decimal = mistral.state.ledger.total(key=name_of(tenant.plain)).usd
    return bill.quantize(Decimal("1e-9"))


def test_the_sdk_runs_a_job_which_costs_half_of_what_its_lines_used(gateway, mistral, made_up):
    tenant = tenancy.make(made_up, currency="USD")
    with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
        file = {"file_name": "lines.jsonl", "content": lines(5)}
        made = client.files.upload(file=file, purpose="batch")
        job = client.batch.jobs.create(
            input_files=[made.id], model=SMALL, endpoint="/v1/chat/completions"
        )
        (held,) = [hold.amount for hold in tenant.holds() if hold.amount]  # others hold nothing
        eventually(lambda: client.batch.jobs.get(job_id=job.id).status == "SUCCESS")
        done = client.batch.jobs.get(job_id=job.id)
        assert client.files.download(file_id=done.output_file).read().count(b"\n") == 5
        assert [one.id for one in client.batch.jobs.list().data] == [job.id]
    metered(tenant)
    (event,) = [event for event in tenant.settled() if event.cost]
    assert event.category == "completion"
    rest = {one.category for one in tenant.events() if not one.cost and one.outcome == "completed"}
    assert rest == {"free"}  # the upload, the job's state, the list
    bill = mistral.state.ledger.total(key=name_of(tenant.plain))
    assert (event.requests, event.estimate, event.factor) == (5, "", Decimal("0.5"))
    assert (event.prompt_tokens, event.completion_tokens) == (
        bill.prompt_tokens,
        bill.completion_tokens,
    )
    assert event.cost == spent(mistral, tenant)
    assert event.cost is not None
    assert event.cost <= held
    assert event.excess == 0
    assert tenant.balance().held == 0


def test_a_job_is_metered_once_however_often_it_is_looked_at(gateway, mistral, made_up):
    tenant = tenancy.make(made_up, currency="USD")
    body = {"endpoint": "/v1/chat/completions", "requests": [json.loads(lines(1))]}
    assert post(gateway.url, tenant, JOBS, body).is_success
    metered(tenant)
    job = job_of(tenant)
    with scope.tenant(tenant.organization.id):  # as if the worker had died before its last commit
        BatchJob.objects.filter(pk=job.pk).update(metered_at=None, next_check_at=job.created_at)
    assert batches.meter_job(job.organization_id, job.id)
    assert not batches.meter_job(job.organization_id, job.id)
    events = tenant.settled()
    assert sum(event.cost or 0 for event in events) == spent(mistral, tenant)
    assert tenant.balance().settled == spent(mistral, tenant)


@pytest.mark.usefixtures("slow")
def test_a_jobs_hold_outlives_the_process_that_made_it(mistral, made_up):

    tenant = tenancy.make(made_up)
    with GatewayServer(mistral.url) as gateway:
        body = {"endpoint": "/v1/chat/completions", "requests": [json.loads(lines(1))]}
        assert post(gateway.url, tenant, JOBS, body).is_success
        gateway.kill()
    (hold,) = tenant.holds()
    recovery.recover_orphans(grace=recovery._SECOND * 0)
    assert [one.id for one in tenant.holds()] == [hold.id]
    job = job_of(tenant)
    assert not batches.meter_job(job.organization_id, job.id)
    assert (job_of(tenant).attempts, job_of(tenant).metered_at) == (1, None)
    with scope.tenant(tenant.organization.id):
        BatchJob.objects.filter(pk=job.pk).update(gives_up_at=job.created_at)
    assert batches.meter_job(job.organization_id, job.id)
    (event,) = tenant.settled()
    assert (event.cost, event.estimate) == (hold.amount, "never_settled")


@pytest.fixture
def unkeepable():
    """PostgreSQL lets nobody write down things whose ids begin with ``unkeepable``."""
    with psycopg.connect(owner_url(), autocommit=True) as owner:
        owner.execute("""
            CREATE FUNCTION unkeepable() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'away' USING ERRCODE = '57P01'; END $$
        """)
        for table in ("registry_providerresource", "spend_batchjob"):
            owner.execute(f"""
                CREATE TRIGGER unkeepable BEFORE INSERT ON {table} FOR EACH ROW
                WHEN (NEW.mistral_id LIKE 'unkeepable%') EXECUTE FUNCTION unkeepable()
            """)
        yield
        owner.execute("DROP FUNCTION unkeepable CASCADE")


def settles_another(url, tenant) -> None:
    """Wait until a later call is settled, and so whatever of earlier ones is to be."""
    httpx.get(f"{url}/v1/files", headers=tenant.headers, trust_env=False, timeout=30)
    eventually(lambda: any(one.category == "free" for one in tenant.events()))


@pytest.mark.usefixtures("unkeepable")
def test_a_job_is_billed_once_though_its_agents_could_not_be_written_down(
    gateway, mistral, made_up
):
    tenant = tenancy.make(made_up, currency="USD")
    content = lines(2) + lines(1, agent_id="unkeepable-agent")
    rows = [json.loads(row) for row in content.splitlines()]
    body = {"endpoint": "/v1/chat/completions", "requests": rows, "model": SMALL}
    refused = post(gateway.url, tenant, JOBS, body)
    assert (refused.status_code, refused.json()["code"]) == (503, "metering_unavailable")
    settles_another(gateway.url, tenant)
    metered(tenant)
    assert tenant.balance().settled == spent(mistral, tenant) > 0
    assert tenant.balance().held == 0


@pytest.mark.usefixtures("unkeepable")
def test_what_a_job_held_that_could_not_be_written_down_is_billed_by_the_sweep(scripted, tenant):
    scripted.script = answering(200, {"id": "unkeepable-job", "status": "QUEUED"})
    body = {"endpoint": "/v1/chat/completions", "requests": [json.loads(lines(1))]}
    assert post(scripted.url, tenant, JOBS, body).status_code == 503
    scripted.script = answering(200, {"data": []})
    settles_another(scripted.url, tenant)
    (hold,) = tenant.holds()
    recovery.recover_orphans(grace=recovery._SECOND * 0, longest_call=recovery._SECOND * 0)
    (event,) = [one for one in tenant.events() if one.id == hold.id]
    assert (event.cost, event.estimate) == (hold.amount, "never_settled")


def test_what_the_lines_can_use_is_held_and_refused_beyond_a_limit(gateway, mistral, tenant):
    file = uploaded(gateway.url, tenant, lines(200, max_tokens=100_000))
    tenant.limit("0.05")
    body = {"endpoint": "/v1/chat/completions", "input_files": [file]}
    refused = post(gateway.url, tenant, JOBS, body)
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_limit_reached")
    assert JOBS not in {call.path for call in mistral.state.calls(key=name_of(tenant.plain))}


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"tools": [{"type": "web_search"}]}, "price_unknown"),
        ({"agent_id": "ag_0"}, "price_unknown"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, None),
    ],
)
@pytest.mark.parametrize("is_inline", [False, True])
def test_lines_that_may_call_connectors_are_refused_under_a_limit(
    gateway, mistral, tenant, *, extra, code, is_inline
):
    tenant.limit("50.00")
    rows = lines(2, **extra)
    body: dict[str, object] = {"endpoint": "/v1/chat/completions"}
    if is_inline:
        body["requests"] = [json.loads(row) for row in rows.splitlines()]
    else:
        body["input_files"] = [uploaded(gateway.url, tenant, rows)]
    answer = post(gateway.url, tenant, JOBS, body)
    assert (answer.json().get("code"), answer.is_success) == (code, code is None)
    asked = {call.path for call in mistral.state.calls(key=name_of(tenant.plain))}
    assert (JOBS in asked) == (code is None)


def test_a_job_reads_files_of_its_own_workspace_only(gateway, tenant, mistral):
    workspace = factories.workspace(tenant.organization)
    key = checked(registered(workspace, tenant.plain))
    _, token = create(workspace, organization=tenant.organization, name="Neighbour", key=key)
    file = uploaded(gateway.url, tenant, lines())
    body = {"endpoint": "/v1/chat/completions", "input_files": [file]}
    headers = {"authorization": f"Bearer {token.reveal()}"}
    refused = httpx.post(f"{gateway.url}{JOBS}", json=body, headers=headers, trust_env=False)
    assert refused.status_code == 404
    made = post(gateway.url, tenant, JOBS, body).json()["id"]
    for method, path in (
        ("GET", f"{JOBS}/{made}"),
        ("POST", f"{JOBS}/{made}/cancel"),
        ("DELETE", f"{JOBS}/{made}"),
    ):
        answer = httpx.request(method, f"{gateway.url}{path}", headers=headers, trust_env=False)
        assert answer.status_code == 404
    answer = httpx.get(f"{gateway.url}{JOBS}", headers=headers, trust_env=False)
    assert (answer.json()["data"], answer.json()["total"]) == ([], 0)


def test_a_file_inside_a_line_is_looked_up_too(gateway, tenant):
    document = {"type": "file", "file_id": "0" * 36}
    content = json.dumps({"custom_id": "1", "body": {"document": document}}).encode()
    file = uploaded(gateway.url, tenant, content)
    body = {"endpoint": "/v1/ocr", "input_files": [file]}
    refused = post(gateway.url, tenant, JOBS, body)
    assert (refused.status_code, refused.json()["detail"]) == (404, f"File {'0' * 36} not found")


def test_a_file_whose_lines_nobody_counted_is_no_batch(gateway, tenant):
    for content, name, purpose in (
        (lines(), "notes.txt", "ocr"),
        (lines(), "lines.jsonl", "ocr"),
        (b"\n \r\n", "lines.jsonl", "batch"),
    ):
        answer = httpx.post(
            f"{gateway.url}/v1/files",
            files={"file": (name, content)},
            data={"purpose": purpose},
            headers=tenant.headers,
            trust_env=False,
        )
        body = {"endpoint": "/v1/chat/completions", "input_files": [answer.json()["id"]]}
        refused = post(gateway.url, tenant, JOBS, body)
        assert (refused.status_code, refused.json()["code"]) == (422, "batch_not_counted")


def test_due_jobs_are_found_whosesoever_they_are(gateway, tenant):
    body = {"endpoint": "/v1/chat/completions", "requests": [json.loads(lines(1))]}
    assert post(gateway.url, tenant, JOBS, body).is_success
    job = job_of(tenant)
    with scope.tenant(tenant.organization.id):
        # Before whatever other tests left due.
        BatchJob.objects.update(next_check_at=job.created_at - timedelta(days=10_000))
    assert (job.organization_id, job.id) in batches.take_due()
    assert (job.organization_id, job.id) not in batches.take_due()


def delete(url, tenant, path) -> httpx.Response:
    return httpx.delete(f"{url}{path}", headers=tenant.headers, trust_env=False, timeout=30)


@pytest.mark.parametrize("is_known", [True, False])
def test_what_a_job_wrote_is_not_deleted_before_it_was_metered(gateway, mistral, made_up, is_known):
    tenant = tenancy.make(made_up, currency="USD")
    body = {"endpoint": "/v1/chat/completions", "requests": [json.loads(lines(1))]}
    made = post(gateway.url, tenant, JOBS, body).json()["id"]
    path = f"{JOBS}/{made}"

    def over() -> dict[str, str]:
        answer = httpx.get(f"{gateway.url}{path}", headers=tenant.headers, trust_env=False)
        return answer.json() if answer.json()["status"] == "SUCCESS" else {}

    eventually(over)
    file = f"/v1/files/{over()['output_file']}"
    with scope.tenant(tenant.organization.id):
        if not is_known:  # written down by a version that did not say whose output it is
            outputs = ProviderResource.objects.filter(mistral_id=over()["output_file"])
            outputs.update(facts={"purpose": "batch"})
        far = timezone.now() + timedelta(hours=1)
        BatchJob.objects.update(next_check_at=far)
    for one in (file, path):
        refused = delete(gateway.url, tenant, one)
        assert (refused.status_code, refused.json()["code"]) == (409, "batch_not_metered")
        assert int(refused.headers["retry-after"]) > 0
    soon = job_of(tenant).next_check_at
    assert soon is not None
    assert soon < timezone.now()  # it is asked about at the next sweep
    asked = {(call.method, call.path) for call in mistral.state.calls(key=name_of(tenant.plain))}
    assert not {call for call in asked if call[0] == "DELETE"}
    metered(tenant)
    assert delete(gateway.url, tenant, file).is_success
    assert delete(gateway.url, tenant, path).is_success
    assert tenant.balance().settled == spent(mistral, tenant)


@pytest.mark.usefixtures("slow")
def test_a_file_that_was_uploaded_is_deleted_whatever_jobs_there_are(gateway, tenant):
    body = {"endpoint": "/v1/chat/completions", "requests": [json.loads(lines(1))]}
    assert post(gateway.url, tenant, JOBS, body).is_success
    file = uploaded(gateway.url, tenant, lines(1))
    assert delete(gateway.url, tenant, f"/v1/files/{file}").is_success


@pytest.mark.parametrize(
    "named",
    [
        {"agent_id": "ag_first", "requests": [{"body": question(max_tokens=9)}]},
        {"requests": [{"body": question(max_tokens=9, agent_id="ag_first")}]},
    ],
)
def test_an_agent_first_used_in_a_batch_is_its_workspaces(scripted, tenant, made_up, named):
    workspace = factories.workspace(tenant.organization)
    checked(registered(workspace, made_up(), name="another key"))
    model, token = create(
        workspace, organization=tenant.organization, mistral_model=tenancy.SMALL, name="another"
    )
    other = replace(tenant, workspace=workspace, model=model, token=token.reveal())
    scripted.script = answering(200, {"id": "0190-of-agents", "status": "QUEUED"})
    job = {"endpoint": "/v1/chat/completions", **named}
    assert post(scripted.url, tenant, "/v1/batch/jobs", job).is_success
    scripted.script = answering(200, {"model": tenancy.SMALL, "choices": []})
    asked = {"agent_id": "ag_first", "messages": []}
    refused = post(scripted.url, other, "/v1/agents/completions", asked)
    assert (refused.status_code, refused.json()["code"]) == (404, "resource_not_found")
    assert post(scripted.url, tenant, "/v1/agents/completions", asked).is_success


@pytest.mark.parametrize(
    ("told", "hours"),
    [(None, 24), (5, 5), ("168", 168), (72.0, 72), (999, 168), ("for long", 168), (0, 1)],
)
def test_a_job_is_given_up_two_days_after_the_time_that_mistral_reads(
    scripted, tenant, told, hours
):
    scripted.script = answering(200, {"id": "0190-of-hours", "status": "QUEUED"})
    job = {"endpoint": "/v1/chat/completions", "timeout_hours": told}
    job["requests"] = [{"body": question(max_tokens=9)}]
    assert post(scripted.url, tenant, "/v1/batch/jobs", job).is_success
    with scope.tenant(tenant.organization.id):
        (row,) = BatchJob.objects.filter(mistral_id="0190-of-hours")
    assert row.next_check_at is not None
    patience = row.gives_up_at - row.next_check_at
    assert round(patience / timedelta(hours=1)) == hours + 48
