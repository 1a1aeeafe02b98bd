"""What compose is handed: valid by its schema, and true of the code."""

import re

import pytest
import yaml
from check_jsonschema.cli import main as check_jsonschema
from click.testing import CliRunner

from aisuru_mistral.env import Environment
from aisuru_mistral.naming import SECRETS
from tests.docker.test_manifests import (
    DOCKER,
    K8S,
    PODS,
    VARIABLES,
    ComposeLoader,
    found,
    pod_of,
)

COMPOSE = ("compose.yaml", "compose.demo.yaml", "compose.pgbouncer.yaml")
#: What compose.yaml does not take from ``.env``, and why.
NOT_FROM_ENV = {
    "DATABASE_DIRECT_URL": "compose.pgbouncer.yaml",
    "DATABASE_OWNER_URL": "for the migration and the backup alone",
    "DATA_DIR": "the launcher's; the image writes nowhere but to /tmp",
    "DEBUG": "never in production",
    "HOST": "who may come in is said by `ports`",
    "PORT": "8000 in `ports`, the Caddyfile and prometheus.yml",
    "STAFF_PASSWORD": "for one command, not for a service that stays",
    "WEBHOOK_LOOPBACK": "loopback is the container",
}


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_are_valid(name, tmp_path):
    document = yaml.load((DOCKER / name).read_text(), ComposeLoader)  # noqa: S506 - safe, it extends SafeLoader
    copy = tmp_path / name
    copy.write_text(yaml.safe_dump(_without_nothing(document)))
    result = CliRunner().invoke(
        check_jsonschema, ["--builtin-schema", "vendor.compose-spec", str(copy)]
    )
    assert result.exit_code == 0, result.output


def _without_nothing(node):
    if isinstance(node, dict):
        return {name: _without_nothing(one) for name, one in node.items() if one is not None}
    return node


def test_compose_files_know_the_roles_and_variables_there_are():
    entrypoint = (DOCKER / "entrypoint.sh").read_text()
    for name in COMPOSE:
        services = yaml.load((DOCKER / name).read_text(), ComposeLoader)["services"]  # noqa: S506
        for role, service in services.items():
            if service.get("image", "aisuru-mistral") != "aisuru-mistral":
                continue
            assert f"\n  {service.get('command', [role])[0]})" in entrypoint
            variables = {one.removesuffix("_FILE") for one in service.get("environment", {})}
            assert variables <= VARIABLES


def test_compose_takes_every_variable_from_env_but_those_listed():
    web = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["web"]["environment"]
    given = {name.removesuffix("_FILE") for name in web}
    assert not given & NOT_FROM_ENV.keys()
    assert given | NOT_FROM_ENV.keys() == VARIABLES
    for name, value in web.items():
        taken = value is None or value.startswith(("${" + name + ":-", "/run/secrets/"))
        assert taken, f"{name} is the same for everybody"


def test_compose_takes_every_optional_secret_as_a_file_too():
    web = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["web"]
    secrets = {name for name in SECRETS if name not in NOT_FROM_ENV}
    assert {f"{name}_FILE" for name in secrets} <= web["environment"].keys()
    assert web["volumes"][0] == "./secrets/aisuru:/run/secrets/aisuru:ro"


def test_what_workers_write_down_of_audit_chains_outlives_them_and_is_read_by_the_web():
    """The folder of temporary files is gone with a container, and is each container's own."""
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    worker, web = (compose["services"][name] for name in ("worker", "web"))
    path = Environment({"AUDIT_ANCHORS": default_of(worker, "AUDIT_ANCHORS")}).audit_anchors
    assert path is not None
    [volume] = [one for one in worker["volumes"] if one.split(":")[1] == str(path.parent)]
    assert volume.split(":")[0] in compose["volumes"], "a volume that stays"
    assert f"{volume}:ro" in web["volumes"], "the same one"
    # A new volume has the owner of the folder that it is mounted at.
    assert (
        f"install -d -o 10001 -g 10001 -m 0750 {path.parent}\n"
        in (DOCKER / "Dockerfile").read_text()
    )
    facts = found("ConfigMap")["aisuru-mistral"]["data"]
    assert Environment(facts).audit_anchors is None, "a cluster's pods share no file: the log"


def default_of(service, name):
    """What compose gives a variable that ``.env`` leaves out."""
    return service["environment"][name].removeprefix(f"${{{name}:-").removesuffix("}")


def test_behind_a_pooler_every_role_knows_the_way_past_it():
    usual, pooled = (
        yaml.safe_load((DOCKER / name).read_text())
        for name in ("compose.yaml", "compose.pgbouncer.yaml")
    )
    ours = {name for name, one in usual["services"].items() if one["image"] == "aisuru-mistral"}
    assert set(pooled["services"]) == ours - {"migrate"}, "the owner's address is direct anyway"
    [(secret, file)] = pooled["secrets"].items()
    assert file == {"file": f"./secrets/{secret}"}
    for service in pooled["services"].values():
        assert service["environment"] == {"DATABASE_DIRECT_URL_FILE": f"/run/secrets/{secret}"}
        assert service["secrets"] == [secret]


def test_the_way_past_a_pooler_is_offered_and_not_taken_unasked():
    [name] = [name for name in found("ConfigMap")["aisuru-mistral"]["data"] if "DIRECT" in name]
    assert name == "DATABASE_DIRECT_URL_FILE"
    assert name not in yaml.safe_load((K8S / "config.yaml").read_text())["data"]
    assert found("Secret")["aisuru-mistral"]["stringData"]["database_direct_url"]


def test_only_what_answers_over_http_has_the_images_health_check():
    """The image asks /health/live; a container where nobody listens would never be healthy."""
    alive = {name: ["docker/entrypoint.sh", "alive", name] for name in ("worker", "beat")}
    services = yaml.load((DOCKER / "compose.yaml").read_text(), ComposeLoader)["services"]  # noqa: S506
    for service in services.values():
        if service.get("image") == "aisuru-mistral":
            [role, *_words] = service["command"]
            check = service.get("healthcheck")
            if role in alive:
                assert check["test"] == ["CMD", *alive[role]]
            else:
                assert (check != {"disable": True}) == (role == "web")
            assert service["read_only"]


def mebibytes(text):
    """A size as compose or Kubernetes writes it; without a value in ``.env``."""
    [(number, unit)] = re.findall(r"^(?:\$\{\w+:-)?(\d+)([a-zA-Z]+)\}?$", text)
    return int(number) * {"m": 1, "g": 1024, "Mi": 1, "Gi": 1024}[unit]


def test_no_container_of_compose_fills_the_disk_with_its_log_or_takes_all_memory():
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        options = service["logging"]["options"]
        assert mebibytes(options["max-size"]) * int(options["max-file"]) <= 250, name
        # Whatever holds what may not be lost is not ended for its memory.
        assert ("mem_limit" in service) == (name in {*PODS}), name
    for name in PODS:
        [container] = pod_of(name)["spec"]["containers"]
        needed = mebibytes(container["resources"]["limits"]["memory"])
        if name == "web":  # what waits there is in memory, too: /tmp is
            needed += Environment({}).upload_waiting_mib
        assert mebibytes(services[name]["mem_limit"]) >= needed, name
