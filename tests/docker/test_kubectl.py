"""The papers' commands for Kubernetes, by the real kubectl, told to a made-up cluster."""

import json
import os
import re
import shlex
import shutil
import subprocess
from http import HTTPStatus
from itertools import groupby
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.docker.cluster import KINDS, VERSION, running
from tests.papers.pages import ROOT, pages

K8S = ROOT / "docker" / "k8s"
OPERATIONS = " ".join(pages()["docs/operations.md"].split())
NAMESPACE = "aisuru-mistral"
pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")


def told() -> list[str]:
    """Every command of operations.md, from its first to its last, and then those of other pages."""
    by_hand = re.findall(
        r"^\| .* \| .* \| `(.+?)` \| .* \|$", pages()["docs/operations.md"], re.MULTILINE
    )
    inline = re.findall(r"`(kubectl [^`]+)`", OPERATIONS)
    prefix = inline.pop(inline.index(f"kubectl -n {NAMESPACE}"))
    assert len(by_hand) == 3
    others = " ".join(" ".join(pages().values()).split())
    elsewhere = set(re.findall(r"`(kubectl [^`]+)`", others)) - {*inline, prefix}
    return [*inline, *(f"{prefix} {one}" for one in by_hand), *sorted(elsewhere)]


@pytest.fixture
def cluster(tmp_path):
    with running(tmp_path) as (made, settings):

        def kubectl(command, code=0):
            program, *words = shlex.split(command.partition(" < ")[0])  # standard input is empty
            assert program == "kubectl"
            here = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # noqa: TID251
            done = subprocess.run(
                [program, *words],
                cwd=ROOT,
                env=here | {"KUBECONFIG": str(settings)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
            return done.stdout

        yield made, kubectl


def test_kustomize_puts_every_object_into_the_namespace_and_they_stay_valid():
    built = subprocess.run(
        ["kubectl", "kustomize", K8S], capture_output=True, text=True, check=True
    ).stdout
    made = list(yaml.safe_load_all(built))
    listed = yaml.safe_load((K8S / "kustomization.yaml").read_text())["resources"]
    written = [one for name in listed for one in yaml.safe_load_all((K8S / name).read_text())]
    assert sorted((one["kind"], one["metadata"]["name"]) for one in made) == sorted(
        (one["kind"], one["metadata"]["name"]) for one in written
    )
    images = set(re.findall(r"image: (\S+)", built))
    assert images == {"aisuru-mistral:latest", "postgres:18"}
    namespaced = {kind for _version, kind, _plural, is_namespaced in KINDS if is_namespaced}
    for one in made:
        kubernetes_validate.validate(one, VERSION, strict=True)
        is_in = one["metadata"].get("namespace") == NAMESPACE
        assert is_in == (one["kind"] in namespaced)


def test_a_digest_takes_the_place_of_a_tag(tmp_path):
    """As the page says, under ``images`` of kustomization.yaml."""
    assert "`digest:` beside `name: postgres`" in OPERATIONS
    shutil.copytree(K8S, tmp_path / "k8s")
    file = tmp_path / "k8s" / "kustomization.yaml"
    settings = yaml.safe_load(file.read_text())
    digest = f"sha256:{'0' * 64}"
    settings["images"].append({"name": "postgres", "digest": digest})
    file.write_text(yaml.safe_dump(settings))
    words = ["kubectl", "kustomize", file.parent]
    built = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    images = set(re.findall(r"image: (\S+)", built))
    assert images == {"aisuru-mistral:latest", f"postgres@{digest}"}


def test_every_command_of_the_page_is_done(cluster, tmp_path):
    made, kubectl = cluster
    commands = told()
    done = []

    def do(pattern, code=0, more=""):
        found = [one for one in commands if re.fullmatch(pattern, one)]
        assert found, pattern
        done.extend(found)
        return kubectl(f"{found[0]}{more}", code)

    do(r"kubectl apply -f docker/k8s/namespace\.yaml")
    copy = tmp_path / "secrets.yaml"
    shutil.copy(K8S / "secrets.example.yaml", copy)
    kubectl(f"kubectl apply -f {copy}")
    do(r"kubectl apply -k docker/k8s")
    plurals = {kind: plural for _version, kind, plural, _is in KINDS}
    files = [path for path in K8S.glob("*.yaml") if path.name != "kustomization.yaml"]
    written = [one for path in files for one in yaml.safe_load_all(path.read_text())]
    assert set(made.kept) == {(plurals[one["kind"]], one["metadata"]["name"]) for one in written}

    before = made.kept["deployments", "web"]["spec"]["template"]
    do(r"kubectl -n \S+ rollout restart .+")
    for name in ("web", "worker", "beat"):
        template = made.kept["deployments", name]["spec"]["template"]
        assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert "annotations" not in before["metadata"]

    first = made.kept["jobs", "migrate"]
    do(r"kubectl -n \S+ delete job migrate .+")
    assert ("jobs", "migrate") not in made.kept
    do(r"kubectl -n \S+ delete job migrate .+")
    count = len(made.kept)
    do(r"kubectl apply -k docker/k8s -l role=migrate")
    assert made.kept["jobs", "migrate"] is not first
    assert len(made.kept) == count + 1, "and nothing else"
    do(r"kubectl -n \S+ wait .+ job/migrate")

    # It would speak protobuf, which the cluster does not understand.
    said = do(r"kubectl -n \S+ create job .+ backup-now", more=" --dry-run=client -o json")
    jobs = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
    status, job = made.answer("POST", jobs, json.loads(said))
    assert status == HTTPStatus.CREATED, job
    nightly = made.kept["cronjobs", "backup"]["spec"]["jobTemplate"]["spec"]["template"]
    assert job["spec"]["template"]["spec"] == nightly["spec"]

    pod = made.kept["deployments", "web"]["spec"]["template"]
    facts = {"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"}}
    named = pod["metadata"] | {"name": "web-1", "namespace": NAMESPACE}
    made.kept["pods", "web-1"] = facts | {"metadata": named, "spec": pod["spec"]}
    do(r"kubectl -n \S+ exec deploy/web -- .+ doctor", code=1)
    do(r"kubectl -n \S+ exec -it deploy/web -- .+ manage …", code=1)
    do(r"kubectl -n \S+ exec -i deploy/web -- .+ verify_audit --anchors - < anchors.jsonl", code=1)
    do(r"kubectl -n \S+ get jobs -l role=backup")
    asked = [one for one, _again in groupby(made.started)]  # by one protocol, and by the older
    assert asked == [
        ("web", ["docker/entrypoint.sh", "doctor"]),
        ("web", ["docker/entrypoint.sh", "manage", "…"]),
        ("web", ["docker/entrypoint.sh", "manage", "verify_audit", "--anchors", "-"]),
    ]
    assert set(done) == set(commands)


def test_a_cluster_refuses_what_it_does_not_know(cluster, tmp_path):
    _made, kubectl = cluster
    wrong = yaml.safe_load((K8S / "beat.yaml").read_text())
    wrong["spec"]["template"]["spec"]["containers"][0]["resuorces"] = {}
    file = Path(tmp_path / "wrong.yaml")
    file.write_text(yaml.safe_dump(wrong))
    kubectl(f"kubectl apply -f {file}", code=1)
