"""What the real ``docker compose`` makes of the compose files, and Caddy of its own: no engine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.papers.pages import ROOT, pages

DOCKER = ROOT / "docker"
OURS = {"web", "worker", "beat", "migrate"}
PROFILES = {"redis": "redis", "rabbitmq": "rabbitmq", "tls": "proxy", "backup": "backup"}


def has_compose() -> bool:
    """Tell whether there is a compose that knows today's files; 1.29 does not."""
    if shutil.which("docker") is None:
        return False
    told = subprocess.run(
        ["docker", "compose", "version", "--short"], capture_output=True, text=True, check=False
    )
    return told.returncode == 0 and int(told.stdout.lstrip("v").partition(".")[0]) >= 2


pytestmark = pytest.mark.skipif(
    not has_compose(), reason="no docker compose 2 here (Debian 13's package docker-compose)"
)


@pytest.fixture
def configured(tmp_path):
    """Give what compose understands of some files, with an .env of ours and no other variable."""

    def configure(*names, env="", profiles=()):
        file = tmp_path / "env"
        file.write_text(env)
        words = ["docker", "compose", "--project-directory", DOCKER, "--env-file", file]
        for name in names or ["compose.yaml"]:
            words += ["--file", DOCKER / name]
        for profile in profiles:
            words += ["--profile", profile]
        here = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # noqa: TID251
        done = subprocess.run(
            [*map(str, words), "config", "--format", "json"],
            env=here,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr
        return json.loads(done.stdout)

    return configure


def without_value() -> list[str]:
    """Name what compose.yaml takes from ``.env`` as it stands there."""
    web = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["web"]
    return [name for name, value in web["environment"].items() if value is None]


def test_profiles_start_what_they_are_named_for_and_nothing_else_does(configured):
    usual = set(configured()["services"])
    assert usual == OURS | {"postgres"}
    for profile, service in PROFILES.items():
        assert set(configured(profiles=[profile])["services"]) - usual == {service}
    everything = set(configured(profiles=["*"])["services"])
    assert everything == usual | set(PROFILES.values())


def test_what_env_does_not_name_is_not_set(configured):
    services = configured()["services"]
    assert len(without_value()) > 20
    for role in OURS:
        assert {services[role]["environment"][name] for name in without_value()} == {None}


def test_what_env_names_reaches_every_role(configured):
    # In single quotes nothing is put in: `$` is what it is. Compose writes it twice in its answer.
    env = "".join(f"{name}='{name.lower()}-$a#b'\n" for name in without_value())
    services = configured(env=env)["services"]
    for role in OURS:
        for name in without_value():
            assert services[role]["environment"][name] == f"{name.lower()}-$$a#b"


def test_what_env_changes_has_a_value_without_it(configured):
    env = "PUBLIC_URL=https://models.example.com\nWEB_CONCURRENCY=3\nSTOP_GRACE_PERIOD=130s\n"
    env += "WEB_MEMORY=6g\nWORKER_MEMORY=3g\n"
    services = configured(env=env + "DRAIN_SECONDS=120\n")["services"]
    assert int(services["worker"]["mem_limit"]) == 3 * 2**30
    web = services["web"]
    assert int(web["mem_limit"]) == 6 * 2**30
    assert web["environment"]["PUBLIC_URL"] == "https://models.example.com"
    assert web["environment"]["WEB_CONCURRENCY"] == "3"
    assert web["stop_grace_period"] == "2m10s"
    web = configured()["services"]["web"]
    assert int(web["mem_limit"]) == 2 * 2**30
    assert web["environment"]["PUBLIC_URL"] == "http://127.0.0.1:8000"
    assert web["stop_grace_period"] == "1m10s"


@pytest.mark.parametrize("names", [(), ("compose.yaml", "compose.pgbouncer.yaml")])
def test_secrets_are_files_that_are_where_variables_say(configured, names):
    made = configured(*names, profiles=["*"])
    told = (DOCKER / "compose.yaml").read_text() + (DOCKER / "compose.pgbouncer.yaml").read_text()
    for secret in made["secrets"].values():
        path = Path(secret["file"]).relative_to(DOCKER)
        assert f"{path}" in told
    for name, service in made["services"].items():
        mounted = {one["target"]: one["source"] for one in service.get("secrets", [])}
        facts = service.get("environment", {})
        files = {path for fact, path in facts.items() if fact.endswith("_FILE") and path}
        assert files == set(mounted), name
        assert all(target == f"/run/secrets/{source}" for target, source in mounted.items())
    for role in OURS:
        folder = made["services"][role]["volumes"][0]
        assert folder["source"] == str(DOCKER / "secrets" / "aisuru")
        assert folder["read_only"]


def test_a_digest_takes_the_place_of_a_tag(configured, tmp_path):
    pinned = f"postgres:18@sha256:{'0' * 64}"
    override = tmp_path / "compose.override.yaml"
    services = {name: {"image": pinned} for name in ("postgres", "backup")}
    override.write_text(yaml.safe_dump({"services": services}))
    made = configured("compose.yaml", override, profiles=["backup"])["services"]
    assert {made[name]["image"] for name in services} == {pinned}


def test_behind_a_pooler_three_roles_know_the_way_past_it(configured):
    services = configured("compose.yaml", "compose.pgbouncer.yaml")["services"]
    for role in OURS:
        facts = services[role]["environment"]
        assert ("DATABASE_DIRECT_URL_FILE" in facts) == (role != "migrate")
        assert facts["DATABASE_URL_FILE"] == "/run/secrets/database_url"


def test_the_demo_is_open_to_this_machine_only_and_asks_the_simulator(configured):
    made = configured("compose.yaml", "compose.demo.yaml")
    published = {
        name: port for name, one in made["services"].items() for port in one.get("ports", [])
    }
    assert published.keys() == {"simulator"}
    assert published["simulator"]["host_ip"] == "127.0.0.1"
    for role in OURS - {"migrate"}:
        service = made["services"][role]
        assert service["network_mode"] == "service:simulator"
        assert service["environment"]["MISTRAL_API_URL"] == "http://127.0.0.1:8010"
        assert service["environment"]["DATABASE_URL_FILE"] == "/run/secrets/database_url"


def test_what_waits_for_something_waits_for_what_there_is(configured):
    services = configured(profiles=["*"])["services"]
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            checked = services[name].get("healthcheck", {"of the image": name == "web"})
            is_checked = bool(checked) and not checked.get("disable")
            assert how["condition"] != "service_healthy" or is_checked


def test_commands_of_the_papers_name_services_and_files_there_are(configured):
    services = set(configured(profiles=["*"])["services"])
    papers = [*(ROOT / name for name in pages()), *DOCKER.glob("compose*.yaml")]
    text = "\n".join(re.sub(r"\s*\n[\s#]*", " ", path.read_text()) for path in papers)
    asked = re.findall(r"docker compose (?:exec(?: -T)?|run --rm) (\w+)", text)
    for profile, service in re.findall(r"docker compose --profile (\w+) logs (\w+)", text):
        assert PROFILES[profile] == service
        asked.append(service)
    raised = re.findall(r"docker compose up((?: [\w-]+)*)`", text)
    asked += [word for words in raised for word in words.split() if word[0] != "-"]
    assert {"web", "worker", "beat", "postgres", "migrate", "backup"} == set(asked) <= services
    files = re.findall(r"-f (compose\S*)", text)
    assert set(files) == {"compose.yaml", "compose.demo.yaml", "compose.pgbouncer.yaml"}
    assert all((DOCKER / name).is_file() for name in files)


def test_commands_of_the_papers_have_options_there_are():
    text = " ".join(" ".join(pages().values()).split())
    asked = re.findall(r"docker compose (?:--profile \w+ )?([a-z]+)((?: --?[\w-]+)*)", text)
    assert {name for name, _options in asked} == {"up", "exec", "run", "build", "cp", "ps", "logs"}
    for name, options in asked:
        told = subprocess.run(
            ["docker", "compose", name, "--help"], capture_output=True, text=True, check=True
        ).stdout
        for option in options.split():
            assert re.search(rf"(?<=\s){option}\b", told), (name, option)


@pytest.mark.skipif(shutil.which("caddy") is None, reason="no caddy here")
def test_the_tls_proxy_reads_its_settings():
    words = ["caddy", "adapt", "--validate", "--config", str(DOCKER / "Caddyfile")]
    here = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "DOMAIN": "models.example.com"}  # noqa: TID251
    done = subprocess.run(words, env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [server] = json.loads(done.stdout)["apps"]["http"]["servers"].values()
    [route] = server["routes"]
    assert route["match"] == [{"host": ["models.example.com"]}]
