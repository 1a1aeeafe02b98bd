"""What is handed to Docker and Kubernetes: linted, valid by schema, and true of the code."""

import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from aisuru_mistral import reference
from aisuru_mistral.env import Environment
from aisuru_mistral.naming import SECRETS
from tests.shell.test_env import GOOD_SECRET

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
K8S = DOCKER / "k8s"
ROLES = {"web": "Deployment", "worker": "Deployment", "beat": "Deployment", "migrate": "Job"}
PODS = {**ROLES, "backup": "CronJob"}
VARIABLES = set(re.findall(r"`([A-Z][A-Z_]+)`", reference.page())) - {"NAME_FILE", "INFO"}


COMMENTED = re.compile(
    r"^(\s+)# (\w+: (?:[^\s\"]\S*|\".+\")|(?:- to|  ports): \[.+\])$", re.MULTILINE
)
#: What compose.yaml takes from ``.env`` and config.yaml has not, and why.
NOT_IN_A_CLUSTER = {"WEB_CONCURRENCY": "one process for each pod, for the autoscaler to count"}
#: Ports of what the papers offer and no address in the examples names.
USUAL_PORTS = {"https": 443, "smtps": 465, "amqp": 5672, "amqps": 5671}
POSTGRESQL, PGBOUNCER = 5432, 6432


class ComposeLoader(yaml.SafeLoader):
    """Knows that ``!reset`` takes a value away."""


ComposeLoader.add_constructor("!reset", lambda *_node: None)


def manifests():
    """Give every document; what stands in comments to be taken up is taken up."""
    for path in sorted(K8S.glob("*.yaml")):
        for document in yaml.safe_load_all(COMMENTED.sub(r"\1\2", path.read_text())):
            if document["kind"] != "Kustomization":
                yield pytest.param(document, id=f"{path.stem}-{document['kind']}")


def found(kind):
    return {
        param.values[0]["metadata"]["name"]: param.values[0]
        for param in manifests()
        if param.values[0]["kind"] == kind
    }


def pod_of(name):
    spec = found(PODS[name])[name]["spec"]
    return spec.get("jobTemplate", {"spec": spec})["spec"]["template"]


def test_the_dockerfile_is_linted():
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run(
        [hadolint, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("script", ["entrypoint.sh", "backup.sh"])
def test_the_scripts_are_shell(script):
    assert subprocess.run(["sh", "-n", DOCKER / script], check=False).returncode == 0
    assert (DOCKER / script).stat().st_mode & 0o111


def test_images_of_others_are_named_by_their_major_version_at_least():
    named = set(
        re.findall(r"^ +image: (\S+)$", (DOCKER / "compose.yaml").read_text(), re.MULTILINE)
    )
    named |= {pod_of(name)["spec"]["containers"][0]["image"] for name in PODS}
    others = named - {"aisuru-mistral"}
    assert {one.partition(":")[0] for one in others} == {"postgres", "redis", "rabbitmq", "caddy"}
    for one in others:
        assert re.search(r":\d+(\.\d+)*(@sha256:[0-9a-f]{64})?$", one), one
    [python] = re.findall(r"^ARG PYTHON=(\S+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"3\.\d+", python)


@pytest.mark.parametrize("document", list(manifests()))
def test_manifests_are_valid(document):
    kubernetes_validate.validate(document, "1.37", strict=True)


def test_kustomize_has_every_manifest_but_the_secrets_to_fill_in():
    listed = yaml.safe_load((K8S / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in K8S.glob("*.yaml")}
    assert set(listed) == files - {"kustomization.yaml", "secrets.example.yaml"}


@pytest.mark.parametrize("name", PODS)
def test_pods_have_no_rights_they_do_not_need(name):
    pod = pod_of(name)["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["args"] == ([name] if name in ROLES else ["once"])
    assert container["resources"]["limits"]["memory"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_only_the_migration_and_the_backup_know_the_login_that_owns_the_tables():
    for name in PODS:
        secrets = {
            v["secret"]["secretName"] for v in pod_of(name)["spec"]["volumes"] if "secret" in v
        }
        assert ("aisuru-mistral-owner" in secrets) == (name in {"migrate", "backup"})


def test_the_cluster_backs_up_as_compose_does():
    assert found("ConfigMap")["backup"]["data"]["backup.sh"] == (DOCKER / "backup.sh").read_text()
    compose = yaml.load((DOCKER / "compose.yaml").read_text(), ComposeLoader)["services"]  # noqa: S506
    [container] = pod_of("backup")["spec"]["containers"]
    given = {variable["name"]: variable["value"] for variable in container["env"]}
    assert compose["backup"]["environment"].keys() <= given.keys()
    assert container["image"] == compose["backup"]["image"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["command"] == ["/bin/sh", f"{mounts['script']}/backup.sh"]
    assert given["BACKUPS"] == mounts["backups"]
    assert given["DATABASE_OWNER_URL_FILE"] == f"{mounts['owner']}/owner_url"
    assert "owner_url" in found("Secret")["aisuru-mistral-owner"]["stringData"]
    [claim] = found("PersistentVolumeClaim")
    assert {"name": "backups", "persistentVolumeClaim": {"claimName": claim}} in pod_of("backup")[
        "spec"
    ]["volumes"]


def test_every_variable_is_one_the_service_reads_and_every_file_is_in_a_secret():
    facts = found("ConfigMap")["aisuru-mistral"]["data"]
    secrets = found("Secret")["aisuru-mistral"]["stringData"]
    assert {name.removesuffix("_FILE") for name in facts} <= VARIABLES
    mounted = "/run/secrets/aisuru/"
    assert all(path.startswith(mounted) for name, path in facts.items() if name.endswith("_FILE"))
    files = {path.removeprefix(mounted) for path in facts.values() if path.startswith(mounted)}
    assert files == set(secrets)
    for name in PODS.keys() - {"backup"}:
        [container] = pod_of(name)["spec"]["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": "aisuru-mistral"}}]
        places = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod_of(name)["spec"]["volumes"]}
        assert volumes[places[mounted.rstrip("/")]]["secret"]["secretName"] == "aisuru-mistral"


def test_a_cluster_is_offered_what_compose_takes():
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["web"]
    taken = {name.removesuffix("_FILE") for name in compose["environment"]}
    offered = set(found("ConfigMap")["aisuru-mistral"]["data"])
    given = {name.removesuffix("_FILE") for name in offered}
    assert given - taken == {"DATABASE_DIRECT_URL"}, "compose.pgbouncer.yaml's"
    assert taken - given == NOT_IN_A_CLUSTER.keys()
    for name in SECRETS:
        assert name not in offered, f"{name} is a secret"
        assert f"{name}_FILE" in offered or name == "DATABASE_OWNER_URL", name


def test_what_a_cluster_is_offered_can_be_read():
    """Each value by itself and all together, with what the two secrets hold in its place."""
    facts = found("ConfigMap")["aisuru-mistral"]["data"]
    assert all(isinstance(value, str) for value in facts.values())
    secrets = found("Secret")["aisuru-mistral"]["stringData"]
    made = {"secret_key": GOOD_SECRET, "keyring": "v1:vault:aisuru", "metrics_token": "x" * 32}
    variables = {}
    for name, value in facts.items():
        file = value.removeprefix("/run/secrets/aisuru/")
        is_secret = name.endswith("_FILE")
        variables[name.removesuffix("_FILE")] = (
            made.get(file, secrets[file]) if is_secret else value
        )
    variables["VAULT_CACERT"] = __file__
    assert Environment(variables).refusals() == []


def test_what_selects_finds_a_pod():
    for kind in ("Deployment", "PodDisruptionBudget"):
        for name, document in found(kind).items():
            selected = document["spec"]["selector"]["matchLabels"]
            assert selected.items() <= pod_of(name)["metadata"]["labels"].items()
    for name, document in found("HorizontalPodAutoscaler").items():
        assert document["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in found("Deployment")[name]["spec"], "the autoscaler owns it"
    for document in found("NetworkPolicy").values():
        labels = document["spec"]["podSelector"]["matchLabels"]
        assert any(labels.items() <= pod_of(name)["metadata"]["labels"].items() for name in PODS)


def ports_to_private_networks(text):
    """Ports that the egress policy of a text of network.yaml opens within 10.0.0.0/8."""
    [policy] = [one for one in yaml.safe_load_all(text) if one["metadata"]["name"] == "egress"]
    return {
        port["port"]
        for rule in policy["spec"]["egress"]
        for to in rule["to"]
        if to.get("ipBlock", {}).get("cidr", "").startswith("10.")
        for port in rule["ports"]
    }


def test_the_network_lets_through_to_what_is_offered():
    offers = (
        ROOT / "aisuru_mistral" / "env.py",
        ROOT / ".env.example",
        K8S / "secrets.example.yaml",
    )
    texts = "\n".join(path.read_text() for path in offers)
    named = {int(port) for port in re.findall(r"\w+://[\w.:@]+:(\d+)\b", texts)}
    assert {25, 587, 4318, 6379, 8200} <= named, "the examples are read"
    policy = (K8S / "network.yaml").read_text()
    opened = ports_to_private_networks(COMMENTED.sub(r"\1\2", policy))
    assert named | set(USUAL_PORTS.values()) | {POSTGRESQL, PGBOUNCER} == opened


def test_what_speaks_http_in_private_networks_is_not_opened_unasked():
    opened = ports_to_private_networks((K8S / "network.yaml").read_text())
    assert opened == {POSTGRESQL, PGBOUNCER, 6379, 5672, 5671}


def test_a_pod_that_stops_has_longer_than_its_calls_may_take():
    pod = pod_of("web")["spec"]
    [container] = pod["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    [drain] = re.findall(r"DRAIN_SECONDS:-(\d+)", (DOCKER / "entrypoint.sh").read_text())
    assert pod["terminationGracePeriodSeconds"] > pause + int(drain)


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_a_pod_that_does_nothing_is_started_anew(name):
    [container] = pod_of(name)["spec"]["containers"]
    probe = container["livenessProbe"]
    assert probe["exec"] == {"command": ["docker/entrypoint.sh", "alive", name]}
    assert "\n  alive)" in (DOCKER / "entrypoint.sh").read_text()


def test_temporary_files_of_the_web_have_room_for_all_that_waits():
    template = pod_of("web")
    (tmp,) = [one["emptyDir"] for one in template["spec"]["volumes"] if one["name"] == "tmp"]
    size = int(tmp["sizeLimit"].removesuffix("Mi"))
    assert "medium" not in tmp  # in memory it would count for the container's
    assert size >= Environment({}).upload_waiting_mib + 128
    (container,) = template["spec"]["containers"]
    assert container["resources"]["requests"]["ephemeral-storage"] == tmp["sizeLimit"]
