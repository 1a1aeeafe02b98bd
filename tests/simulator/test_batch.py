import json
import time

import httpx
import pytest

from aisuru_mistral.simulator.agents import WELL_KNOWN_AGENTS
from aisuru_mistral.simulator.keys import WELL_KNOWN
from aisuru_mistral.simulator.server import SimulatorServer
from tests.simulator.conftest import CHAT, HELLO
from tests.simulator.schema import check

JOBS = "/v1/batch/jobs"
SMALL = "mistral-small-latest"
MESSAGES = {"messages": HELLO["messages"]}


def lines(*bodies):
    rows = [{"custom_id": str(at), "body": body} for at, body in enumerate(bodies)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(client, data):
    files = {"file": ("requests.jsonl", data)}
    return client.post("/v1/files", data={"purpose": "batch"}, files=files).json()["id"]


def create(client, *bodies, endpoint=CHAT, headers=None, **more):
    body = {"endpoint": endpoint, "input_files": [upload(client, lines(*bodies))], **more}
    answer = client.post(JOBS, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    check(answer.json(), "BatchJob")
    return answer.json()


def over(client, job):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        now = client.get(f"{JOBS}/{job['id']}").json()
        check(now, "BatchJob")
        if now["status"] not in {"QUEUED", "RUNNING", "CANCELLATION_REQUESTED"}:
            return now
        time.sleep(0.02)
    raise AssertionError(now)


def output(client, job, kind="output_file"):
    content = client.get(f"/v1/files/{job[kind]}/content").content
    return [json.loads(line) for line in content.splitlines()]


def test_a_job_runs_over_a_file_and_costs_half(simulator, alice):
    job = create(alice, MESSAGES, {**MESSAGES, "stream": True}, model=SMALL)
    assert (job["status"], job["total_requests"]) == ("QUEUED", 2)
    done = over(alice, job)
    assert (done["status"], done["succeeded_requests"], done["error_file"]) == ("SUCCESS", 2, None)
    rows = output(alice, done)
    assert [row["custom_id"] for row in rows] == ["0", "1"]
    for row in rows:
        check(row["response"]["body"], "ChatCompletionResponse")
        assert (row["response"]["status_code"], row["error"]) == (200, None)
    usage = rows[0]["response"]["body"]["usage"]
    (line,) = simulator.state.ledger.lines()
    assert line.batch
    assert (line.calls, line.prompt_tokens) == (2, 2 * usage["prompt_tokens"])
    assert line.completion_tokens == 2 * usage["completion_tokens"]
    half = simulator.state.ledger.total().usd
    alice.post(CHAT, json=HELLO)
    alice.post(CHAT, json=HELLO)
    assert simulator.state.ledger.total().usd == 3 * half
    listed = alice.get(JOBS).json()
    check(listed, "ListBatchJobsResponse")
    assert [each["id"] for each in listed["data"]] == [job["id"]]
    written = alice.get("/v1/files", params={"sample_type": "batch_result"}).json()
    assert [file["id"] for file in written["data"]] == [done["output_file"]]


def test_refused_requests_stand_in_the_error_file_and_are_free(simulator, alice):
    job = create(alice, {**HELLO, "temperature": 9}, {**HELLO, "model": "nobody"}, HELLO)
    done = over(alice, job)
    counted = (done["succeeded_requests"], done["failed_requests"], done["completed_requests"])
    assert counted == (1, 2, 3)
    errors = output(alice, done, "error_file")
    assert [row["response"]["status_code"] for row in errors] == [422, 400]
    assert [row["custom_id"] for row in errors] == ["0", "1"]
    assert simulator.state.ledger.total().calls == 1


@pytest.mark.parametrize(
    ("endpoint", "body", "meter"),
    [
        ("/v1/embeddings", {"model": "mistral-embed", "input": "x"}, "prompt_tokens"),
        ("/v1/fim/completions", {"model": "codestral-latest", "prompt": "x"}, "completion_tokens"),
        ("/v1/moderations", {"model": "mistral-moderation-2603", "input": "x"}, "prompt_tokens"),
        (
            "/v1/chat/moderations",
            {"model": "mistral-moderation-2603", "input": HELLO["messages"]},
            "prompt_tokens",
        ),
        (
            "/v1/classifications",
            {"model": "mistral-moderation-2603", "input": "x"},
            "prompt_tokens",
        ),
        (
            "/v1/chat/classifications",
            {"model": "mistral-moderation-2603", "input": MESSAGES},
            "prompt_tokens",
        ),
        (
            "/v1/ocr",
            {
                "model": "mistral-ocr-latest",
                "document": {"type": "document_url", "document_url": "https://a.example/2-pages"},
            },
            "pages",
        ),
        (
            "/v1/audio/transcriptions",
            {"model": "voxtral-mini-latest", "file_url": "https://a.example/9-seconds"},
            "audio_seconds",
        ),
        ("/v1/conversations", {"model": SMALL, "inputs": "Hello"}, "completion_tokens"),
    ],
)
def test_every_batch_endpoint_runs_and_is_billed(simulator, alice, endpoint, body, meter):
    done = over(alice, create(alice, body, endpoint=endpoint))
    assert (done["status"], done["succeeded_requests"]) == ("SUCCESS", 1), done
    (line,) = simulator.state.ledger.lines()
    assert line.batch
    assert getattr(line, meter) > 0


def test_an_agent_can_do_a_batch(simulator, alice):
    done = over(alice, create(alice, MESSAGES, agent_id=WELL_KNOWN_AGENTS["researcher"]))
    assert output(alice, done)[0]["response"]["body"]["model"] == "mistral-medium-latest"
    assert simulator.state.ledger.lines()[0].model == "mistral-medium-3-5"


def test_requests_and_outputs_can_be_inline(alice):
    body = {"endpoint": CHAT, "model": SMALL, "requests": [{"custom_id": "a", "body": MESSAGES}]}
    job = alice.post(JOBS, json=body).json()
    assert over(alice, job)["outputs"] is None
    shown = alice.get(f"{JOBS}/{job['id']}", params={"inline": "true"}).json()
    check(shown, "BatchJob")
    assert [row["custom_id"] for row in shown["outputs"]] == ["a"]


def test_a_cancelled_job_keeps_and_bills_what_it_has_done(simulator, alice):
    job = create(alice, *[HELLO] * 50, headers={"x-sim-batch-seconds": "2"})
    queued = create(alice, HELLO, headers={"x-sim-batch-seconds": "0.3"})
    assert alice.post(f"{JOBS}/{queued['id']}/cancel").json()["status"] == "CANCELLATION_REQUESTED"
    assert over(alice, queued)["succeeded_requests"] == 0
    deadline = time.monotonic() + 5
    while alice.get(f"{JOBS}/{job['id']}").json()["completed_requests"] < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    answer = alice.post(f"{JOBS}/{job['id']}/cancel").json()
    check(answer, "BatchJob")
    done = over(alice, job)
    assert done["status"] == "CANCELLED"
    assert 3 <= done["succeeded_requests"] < 50
    assert len(output(alice, done)) == done["succeeded_requests"]
    assert simulator.state.ledger.total().calls == done["succeeded_requests"]
    assert alice.post(f"{JOBS}/{job['id']}/cancel").json()["status"] == "CANCELLED"


def test_no_rate_limit_counts_a_batch(as_key):
    client = as_key("three_requests_a_minute")
    assert over(client, create(client, *[HELLO] * 5))["succeeded_requests"] == 5
    assert [client.post(CHAT, json=HELLO).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_jobs_stay_in_their_workspace(alice, as_key):
    file_id = upload(alice, lines(HELLO))
    job = alice.post(JOBS, json={"endpoint": CHAT, "input_files": [file_id]}).json()
    for name in ("valid_other_workspace", "valid_other_organization"):
        stranger = as_key(name)
        assert stranger.get(JOBS).json()["total"] == 0
        assert stranger.get(f"{JOBS}/{job['id']}").status_code == 404
        assert stranger.post(f"{JOBS}/{job['id']}/cancel").status_code == 404
        assert stranger.delete(f"{JOBS}/{job['id']}").status_code == 404
        body = {"endpoint": CHAT, "input_files": [file_id]}
        assert stranger.post(JOBS, json=body).status_code == 404
    assert alice.delete(f"{JOBS}/{job['id']}").status_code == 400
    assert over(as_key("valid_second"), job)["status"] == "SUCCESS"
    gone = alice.delete(f"{JOBS}/{job['id']}").json()
    check(gone, "DeleteBatchJobResponse")
    assert alice.get(f"{JOBS}/{job['id']}").status_code == 404


def test_jobs_are_listed_by_what_they_are(alice):
    first = create(alice, HELLO)
    second = create(alice, MESSAGES, model=SMALL)
    over(alice, first)
    over(alice, second)

    def listed(**parameters):
        return [job["id"] for job in alice.get(JOBS, params=parameters).json()["data"]]

    assert listed() == [second["id"], first["id"]]
    assert listed(order_by="created") == [first["id"], second["id"]]
    assert listed(model=SMALL) == [second["id"]]
    assert listed(status="FAILED") == []
    assert listed(status=["SUCCESS", "FAILED"], page_size=1) == [second["id"]]


def test_files_that_are_no_requests_fail_the_job(simulator, alice):
    bad = upload(alice, b'{"body": {}}\n\nnot json\n[]\n')
    job = alice.post(JOBS, json={"endpoint": CHAT, "input_files": [bad]}).json()
    check(job, "BatchJob")
    assert job["status"] == "FAILED"
    assert len(job["errors"]) == 2
    assert simulator.state.ledger.lines() == []
    assert alice.post(JOBS, json={"endpoint": CHAT}).status_code == 400
    assert alice.post(JOBS, json={"endpoint": "/v1/models"}).status_code == 422


def test_a_big_batch_is_too_big_for_the_free_plan(as_key):
    client = as_key("valid_free_plan")
    requests = [{"body": HELLO}] * 101
    answer = client.post(JOBS, json={"endpoint": CHAT, "requests": requests})
    assert answer.status_code == 402
    assert "batch jobs this big" in answer.json()["detail"]


def test_a_reset_drops_what_runs(simulator, alice):
    create(alice, *[HELLO] * 20, headers={"x-sim-batch-seconds": "0.4"})
    simulator.state.reset()
    time.sleep(0.5)
    assert simulator.state.ledger.lines() == []
    assert not simulator.state.background
    assert alice.get("/v1/files").json()["total"] == 0


def test_a_server_stops_at_once_while_a_job_runs(recwarn):
    with SimulatorServer() as server:
        headers = {"authorization": f"Bearer {WELL_KNOWN['valid']}"}
        with httpx.Client(base_url=server.url, headers=headers, verify=False) as client:  # noqa: S501
            create(client, HELLO, headers={"x-sim-batch-seconds": "60"})
        assert len(server.state.background) == 1
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not server.state.background
    assert not recwarn
