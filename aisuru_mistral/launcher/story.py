"""The story of `make demo`: from the first key over AIsuru to the first metered chat, by HTTP.

Everything printed was just answered by the running service; an answer that is not the expected one
ends the story with what came instead. Runs again on the same data under fresh names.
"""

import json
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx

from aisuru_mistral import env
from aisuru_mistral.simulator.aisuru import WELL_KNOWN_LOGINS
from aisuru_mistral.simulator.keys import WELL_KNOWN

PATIENCE = 60.0
LONG_ANSWER = 100_000
MODEL = "mistral-small-latest"
_SIGN_IN = "/_allauth/browser/v1"
QUESTION = "In one sentence: why does a customer bring an own Mistral key?"

type Json = dict[str, Any]


class Unexpected(Exception):  # noqa: N818 - reads as what happened
    """An answer that the story did not expect."""


class Story:
    """The player: says what it asks, and what came back.

    Args:
        address: where the service listens.
        token: a platform token.
    """

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self._management = httpx.Client(
            base_url=f"{address}/api/v1",
            headers={"Authorization": f"Bearer {token}", "Accept-Language": "en"},
            timeout=30,
            trust_env=False,
        )
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapter += 1
        print(f"\n{self._chapter}. {title}", flush=True)

    def note(self, text: str) -> None:
        """Print a finding."""
        print(f"     {text}", flush=True)

    def ask(self, method: str, path: str, *, expect: int, body: Json | None = None) -> Json:
        """Call the management API and print method, path and status.

        Raises:
            Unexpected: the status is another one.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        answer = self._management.request(method, path, json=body, headers=headers)
        print(f"   {method} /api/v1{path} → {answer.status_code}", flush=True)
        if answer.status_code != expect:
            raise Unexpected(f"expected {expect}: {answer.text[:500]}")
        return dict(answer.json())

    def peek(self, path: str) -> Json:
        """Read quietly, for polling."""
        answer = self._management.get(path)
        if answer.status_code != httpx.codes.OK:
            raise Unexpected(f"GET /api/v1{path} → {answer.status_code}: {answer.text[:500]}")
        return dict(answer.json())

    def wait_for(self, path: str, check: Callable[[Json], bool], what: str) -> Json:
        """Read until `check` holds.

        Raises:
            Unexpected: it does not within a minute.
        """
        started = time.monotonic()
        while not check(found := self.peek(path)):
            if time.monotonic() - started > PATIENCE:
                raise Unexpected(f"{what} did not happen within {PATIENCE:.0f} s: {found}")
            time.sleep(0.1)
        waited = time.monotonic() - started
        print(f"   GET /api/v1{path} → 200 ({what} after {waited:.1f} s)", flush=True)
        return found

    # ── the chapters ─────────────────────────────────────────────────────────────────────────────

    def organization(self, name: str, owner: str) -> Json:
        """Create an organization with its default workspace."""
        body = {"name": name, "owner_email": owner}
        made = self.ask("POST", "/organizations", expect=201, body=body)
        self.note(f"{made['name']}, default workspace {made['default_workspace_id']}")
        return made

    def register_key(self, workspace: str, secret: str) -> Json:
        """Register a Mistral key and wait for its verdict."""
        body = {"name": "demo", "key": secret}
        key = self.ask("POST", f"/workspaces/{workspace}/keys", expect=202, body=body)
        self.note(f"key …{key['last4']} is {key['status']}; a worker asks Mistral now")
        return self.wait_for(
            f"/keys/{key['id']}", lambda found: bool(found["verdict"]), "a verdict"
        )

    def good_key(self, workspace: str, secret: str) -> Json:
        """Register a key that Mistral knows."""
        key = self.register_key(workspace, secret)
        if key["status"] != "valid":
            raise Unexpected(f"the key is {key['status']}: {key['verdict']}")
        verdict, identity = key["verdict"], key["verdict"]["identity"]
        self.note(
            f"{key['status']}: sees {verdict['models']} models; belongs to {_words(identity)}"
        )
        return key

    def wrong_key(self, workspace: str, secret: str) -> None:
        """Register a key that Mistral does not know, and show what its owner is told."""
        key = self.register_key(workspace, secret)
        verdict = key["verdict"]
        if verdict["code"] != "key_unknown":
            raise Unexpected(f"the verdict is {verdict}")
        self.note(f"{verdict['code']}: {verdict['title']}")
        self.note(f"{verdict['detail']}")
        self.note(f"Next step: {verdict['next_step']}")

    def create_model(self, organization: Json, key: Json, name: str) -> Json:
        """Create a model."""
        body = {
            "organization_id": organization["id"],
            "workspace_id": organization["default_workspace_id"],
            "key_id": key["id"],
            "name": name,
            "model": MODEL,
            "purposes": ["question_answering"],
        }
        model = self.ask("POST", "/models", expect=201, body=body)
        self.note(f"{model['name']} is {model['status']}")
        return model

    def show_config(self, model: Json) -> None:
        """Print the CompletionConfig that AIsuru takes."""
        self.note("AIsuru's CompletionConfig:")
        for line in json.dumps(model["completion_config"], indent=2).splitlines():
            self.note(f"  {line}")

    def publish(self, organization: Json, model: Json, aisuru_url: str) -> str:
        """Publish a model in AIsuru, and give the token that AIsuru has got with it.

        The stand-in of AIsuru tells it to the owner of the configuration.
        """
        login = WELL_KNOWN_LOGINS[0]
        body = {"userName": login.name, "password": login.password, "tenant": login.tenant}
        token = self._ask_aisuru("POST", aisuru_url, "PwlLogin", body=body)["token"]
        body = {"login_token": token, "tenant": login.tenant}
        path = f"/organizations/{organization['id']}/aisuru-connection"
        self.ask("PUT", path, expect=200, body=body)
        self.ask("POST", f"/models/{model['id']}/publish", expect=202, body={})
        path = f"/models/{model['id']}/publication"
        found = self.wait_for(path, lambda row: row["status"] != "pending", "published")
        if found["status"] != "published":
            raise Unexpected(f"the model is {found['status']}: {found['failure']}")
        config_id = found["completion_config_id"]
        config = self._ask_aisuru("GET", aisuru_url, "CompletionConfig", token, config_id)["config"]
        self.note(f"AIsuru has “{config['configName']}”: {config['model']} at {config['endPoint']}")
        return str(config["apiKey"])

    def _ask_aisuru(
        self, method: str, url: str, noun: str, *rest: str, body: Json | None = None
    ) -> Json:
        with httpx.Client(timeout=30, trust_env=False) as client:
            answer = client.request(method, "/".join([url, noun, *rest]), json=body)
        shown = "/".join([noun, *(["{login token}"] if rest else []), *rest[1:]])
        print(f"   {method} /api/v2/{shown} → {answer.status_code} (AIsuru)", flush=True)
        found = dict(answer.json())
        if found["resultCode"]:
            raise Unexpected(f"AIsuru: {found['resultMessage']}")
        return found

    def chat(self, token: str) -> None:
        """Stream a chat through the gateway with the model token."""
        body = {"messages": [{"role": "user", "content": QUESTION}], "stream": True}
        self.note(f"“{QUESTION}”")
        with self._call_gateway(token, body) as answer:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                raise Unexpected(f"expected 200: {answer.text[:500]}")
            print("     ", end="", flush=True)
            usage = None
            for line in answer.iter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                usage = chunk.get("usage") or usage
                for choice in chunk["choices"]:
                    print(choice["delta"].get("content") or "", end="", flush=True)
            print(flush=True)
        if usage is None:
            raise Unexpected("the stream ended without usage")
        prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
        self.note(f"usage: {prompt} prompt tokens, {completion} completion tokens")

    def refused_chat(self, token: str) -> None:
        """Show that a chat which could go beyond the limit is refused before Mistral is asked."""
        body = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": LONG_ANSWER}
        self.note(f"the same question, with room for {LONG_ANSWER:,} tokens of answer")
        with self._call_gateway(token, body) as answer:
            answer.read()
            refusal = answer.json()
        if answer.status_code != httpx.codes.PAYMENT_REQUIRED:
            raise Unexpected(f"expected 402: {answer.text[:500]}")
        self.note(str(refusal.get("message")))
        facts = ("limit", "spent", "held", "resets_at")
        self.note(", ".join(f"{name} {refusal[name]}" for name in facts if name in refusal))

    @contextmanager
    def _call_gateway(self, token: str, body: Json) -> Iterator[httpx.Response]:
        address, headers = (
            f"{self.address}/v1/chat/completions",
            {"Authorization": f"Bearer {token}"},
        )
        with (
            httpx.Client(timeout=60, trust_env=False) as client,
            client.stream("POST", address, json=body, headers=headers) as answer,
        ):
            print(f"   POST /v1/chat/completions → {answer.status_code}", flush=True)
            yield answer

    def accept_terms(self, email: str, password: str) -> None:
        """Sign in to the console as a person, and accept the terms: the login works at once."""
        with httpx.Client(base_url=self.address, timeout=30, trust_env=False) as browser:
            login = f"{_SIGN_IN}/auth/login"
            browser.get(f"{_SIGN_IN}/config")
            for path, body in (
                (login, {"email": email, "password": password}),
                ("/api/v1/me/terms", {}),
            ):
                said = body or {"version": browser.get("/api/v1/me").json()["terms"]["version"]}
                headers = {"X-CSRFToken": browser.cookies["aim_csrf"]}
                answer = browser.post(path, json=said, headers=headers)
                print(f"   POST {path} → {answer.status_code} (as {email})", flush=True)
                if not answer.is_success:
                    raise Unexpected(f"expected success: {answer.text[:500]}")

    def spend(self, organization: str) -> Json:
        """Show what this month has cost, once everything is settled."""
        path = f"/spend?organization_id={organization}&group_by=model"
        settled = self.wait_for(
            path, lambda found: bool(found["groups"]) and not Decimal(found["held"]), "settled"
        )
        self.note(f"{settled['month']}: {settled['total']} {settled['currency']}")
        for group in settled["groups"]:
            what = ", ".join(f"{name} {amount}" for name, amount in group["quantities"].items())
            self.note(f"  {group['amount']} {settled['currency']} for {what}")
        return settled

    def limit(self, organization: str, amount: str) -> None:
        """Set the month's limit of an organization."""
        path = f"/organizations/{organization}/limits"
        found = self.ask("PUT", path, expect=200, body={"monthly_spend": amount})
        self.note(f"monthly limit: {found['monthly_spend']}")


def play(address: str, token: str, aisuru_url: str) -> None:
    """Tell the whole story, then leave two tenants to continue with."""
    story = Story(address, token)
    when = time.strftime("%H:%M:%S")
    story.chapter("AIsuru's backend creates an organization with its platform token")
    organization = story.organization(f"Aurora Assicurazioni {when}", "alice@aurora.example")
    workspace = organization["default_workspace_id"]
    story.chapter("The customer's Mistral key is registered, sealed and validated by the worker")
    key = story.good_key(workspace, WELL_KNOWN["valid"])
    story.chapter("AIsuru creates a model: the Mistral key stays here, AIsuru gets a model token")
    model = story.create_model(organization, key, f"Assistente {when}")
    story.show_config(model)
    story.chapter("The model is published in AIsuru, which gets a token of its own")
    aisurus_token = story.publish(organization, model, aisuru_url)
    story.chapter("AIsuru streams a chat through the gateway with the token that it got")
    story.chat(aisurus_token)
    story.chapter("The month's spend shows its exact cost")
    story.spend(organization["id"])
    story.chapter("A key that Mistral does not know gets a clear verdict")
    story.wrong_key(workspace, WELL_KNOWN["unauthorized"])
    story.chapter("A chat that could go beyond the month's limit is refused")
    story.limit(organization["id"], "0.01")
    story.refused_chat(model["token"])
    story.chapter("A second organization, free to play with")
    other = story.organization(f"Borea Logistica {when}", "bruno@borea.example")
    other_key = story.good_key(
        other["default_workspace_id"], WELL_KNOWN["valid_other_organization"]
    )
    other_model = story.create_model(other, other_key, f"Spedizioni {when}")
    story.chapter("People of theirs, and one of the support staff")
    logins = _logins(story, other, when)
    _say_how_to_continue(address, token, other, other_model, logins)


def _words(identity: Json | None) -> str:
    facts = identity or {}
    names = ("organization", "workspace", "key_name")
    return " / ".join(str(facts[name]) for name in names if facts.get(name)) or "nobody told"


def _logins(story: Story, organization: Json, when: str) -> str:
    """Make logins for the console and the support desk; return how they are told."""
    at = when.replace(":", "")
    person, staff = f"bruno.{at}@borea.example", f"staff.{at}@aisuru.example"
    passwords = [secrets.token_urlsafe(12) for _ in range(2)]
    member = ["create_member", "--organization", organization["id"], "--email", person]
    story.note(_manage(*member, "--name", "Bruno Borea", stdin=passwords[0]))
    story.accept_terms(person, passwords[0])
    story.note(_manage("create_staff", "--email", staff, STAFF_PASSWORD=passwords[1]))
    story.note(_manage("staff_role", "--email", staff, "--role", "lead"))
    return (
        f"  console          {story.address}/\n"
        f"    {person}  password {passwords[0]}  (administrator of {organization['name']})\n"
        f"  support desk     {story.address}/admin/\n"
        f"    {staff}  password {passwords[1]}  (asks for a second factor first)\n"
    )


def _say_how_to_continue(
    address: str, token: str, organization: Json, model: Json, logins: str
) -> None:
    mails = (env.load().email_url or "consolemail://").removeprefix("filemail://")
    chat = json.dumps({"messages": [{"role": "user", "content": "Ciao!"}]})
    print(
        f"""
The demo keeps serving on {address}; API docs: {address}/api/v1/docs. Ctrl-C stops it.
  mails            {mails}
  platform token   {token}
  model token      {model["token"]}  ({organization["name"]})
{logins}
  curl {address}/v1/chat/completions -H 'Authorization: Bearer {model["token"]}' \\
    -H 'Content-Type: application/json' -d '{chat}'
  curl '{address}/api/v1/spend?organization_id={organization["id"]}' \\
    -H 'Authorization: Bearer {token}'
""",
        flush=True,
    )


def _platform_token() -> str:
    return str(json.loads(_manage("create_token", "--platform", "--name", "demo"))["token"])


def _manage(*command: str, stdin: str = "", **variables: str) -> str:
    made = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=env.ROOT,
        env={**env.load().variables, **variables},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise Unexpected(f"manage.py {command[0]}: {made.stderr.strip()[-500:]}")
    return made.stdout.strip()


def main() -> int:
    """Play the story against the service that this DATA_DIR runs; return the exit code."""
    try:
        settings = env.load()
        aisuru_url = settings.aisuru_api_url or ""
        play(f"http://127.0.0.1:{settings.port}", _platform_token(), aisuru_url)
    except (Unexpected, httpx.HTTPError, KeyError, ValueError) as surprise:
        print(f"\n   The story ends here: {type(surprise).__name__}: {surprise}", flush=True)
        print("   The service keeps running; its logs are in DATA_DIR/log.", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
