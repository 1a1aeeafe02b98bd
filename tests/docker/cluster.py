"""As much of a Kubernetes API as kubectl needs to do what the papers tell it to; it runs nothing.

Objects are kept as they come. What is made is validated by Kubernetes' own schema first, strictly,
and a job is complete at once.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

VERSION = "1.37"
#: Group and version, the kind, its plural, whether it belongs to a namespace.
KINDS = (
    ("v1", "Namespace", "namespaces", False),
    ("v1", "ConfigMap", "configmaps", True),
    ("v1", "Secret", "secrets", True),
    ("v1", "Service", "services", True),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", True),
    ("v1", "Pod", "pods", True),
    ("apps/v1", "Deployment", "deployments", True),
    ("batch/v1", "Job", "jobs", True),
    ("batch/v1", "CronJob", "cronjobs", True),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", True),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", True),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", True),
    ("networking.k8s.io/v1", "Ingress", "ingresses", True),
)
_SHORT = {"deployments": ["deploy"]}
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]

type Json = dict[str, Any]


class Cluster:
    """What there is, by plural and name, and which programs were asked for in which pod."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Json] = {}
        self.started: list[tuple[str, list[str]]] = []
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, answer = cluster.answer(self.command, self.path, body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_arguments):
                pass

        for method in ("GET", "POST", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler._take)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def settings(self) -> Json:
        """Kubectl's own, to reach it."""
        address = f"http://127.0.0.1:{self.server.server_address[1]}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "made-up", "cluster": {"server": address}}],
            "contexts": [{"name": "made-up", "context": {"cluster": "made-up", "user": ""}}],
            "current-context": "made-up",
        }

    def answer(self, method: str, address: str, body: Any) -> tuple[HTTPStatus, Json]:
        """Answer one request."""
        parts = urlsplit(address)
        words = parts.path.strip("/").split("/")
        query = parse_qs(parts.query)
        if (found := _discovered(words)) is not None:
            return HTTPStatus.OK, found
        there = words[2:] if words[0] == "api" else words[3:]
        if there[:1] == ["namespaces"] and len(there) > 2:
            there = there[2:]
        plural, name, *deeper = [*there, "", ""][: max(len(there), 2)]
        if deeper == ["exec"]:
            self.started.append((query["container"][0], query["command"]))
            return _refused(HTTPStatus.FORBIDDEN)
        if method == "POST":
            return self._make(plural, body)
        if method == "GET" and plural and not name:
            return HTTPStatus.OK, self._listed(plural, query)
        return self._look(method, (plural, name), body)

    def _look(self, method: str, place: tuple[str, str], body: Any) -> tuple[HTTPStatus, Json]:
        if place not in self.kept:
            return _refused(HTTPStatus.NOT_FOUND)
        if method == "PATCH":
            self.kept[place] = _merged(self.kept[place], body)
        kept = self.kept[place]
        if method == "DELETE":
            del self.kept[place]
        return HTTPStatus.OK, kept

    def _make(self, plural: str, made: Json) -> tuple[HTTPStatus, Json]:
        if (plural, made["metadata"]["name"]) in self.kept:
            return _refused(HTTPStatus.CONFLICT)
        try:
            kubernetes_validate.validate(made, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return _refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        name = made["metadata"]["name"]
        made["metadata"] |= {"uid": f"{plural}-{name}", "resourceVersion": "1"}
        if plural == "jobs":
            made["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        self.kept[plural, name] = made
        return HTTPStatus.CREATED, made

    def _listed(self, plural: str, query: dict[str, list[str]]) -> Json:
        [(version, kind)] = [one[:2] for one in KINDS if one[2] == plural]
        [wanted] = query.get("fieldSelector", [""])
        names = [wanted.removeprefix("metadata.name=")] if wanted else None
        items = [
            one
            for (where, name), one in self.kept.items()
            if where == plural and (names is None or name in names)
        ]
        facts = {"resourceVersion": "1"}
        return {"apiVersion": version, "kind": f"{kind}List", "metadata": facts, "items": items}


@contextmanager
def running(folder: Path) -> Iterator[tuple[Cluster, Path]]:
    """Serve for a while; give kubectl's settings as a file too."""
    made = Cluster()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    settings = folder / "kubeconfig"
    settings.write_text(json.dumps(made.settings()))
    try:
        yield made, settings
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join(5)


def _discovered(words: list[str]) -> Json | None:
    """Say what there is: versions, groups, resources, and that unknown fields are refused."""
    minor = VERSION.partition(".")[2]
    groups = sorted({one[0] for one in KINDS if "/" in one[0]})
    listed = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(one) for one in groups]}
    documents = ["api/v1", *(f"apis/{one}" for one in groups)]
    paths = {one: {"serverRelativeURL": f"/openapi/v3/{one}"} for one in documents}
    found: dict[str, Json] = {
        "version": {"major": "1", "minor": minor, "gitVersion": f"v{VERSION}.0"},
        "api": {"kind": "APIVersions", "versions": ["v1"]},
        "apis": listed,
        "openapi/v3": {"paths": paths},
    }
    for document in documents:
        whole = document.partition("/")[2]
        rows = [_resource(*one) for one in KINDS if one[0] == whole]
        found[document] = {"kind": "APIResourceList", "groupVersion": whole, "resources": rows}
        found[f"openapi/v3/{document}"] = _openapi(whole)
    return found.get("/".join(words))


def _group(whole: str) -> Json:
    version = {"groupVersion": whole, "version": whole.partition("/")[2]}
    name = whole.partition("/")[0]
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resource(_version: str, kind: str, plural: str, is_namespaced: bool) -> Json:  # noqa: FBT001 - a row
    return {
        "name": plural,
        "singularName": kind.lower(),
        "namespaced": is_namespaced,
        "kind": kind,
        "verbs": _VERBS,
        "shortNames": _SHORT.get(plural, []),
    }


def _openapi(whole: str) -> Json:
    group, _, version = whole.rpartition("/")
    paths = {}
    for where, kind, plural, _is_namespaced in KINDS:
        if where == whole:
            gvk = {"group": group, "version": version, "kind": kind}
            known = [{"name": "fieldValidation", "in": "query"}, {"name": "dryRun", "in": "query"}]
            patch = {"x-kubernetes-group-version-kind": gvk, "parameters": known, "responses": {}}
            paths[f"/{plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "made up", "version": "1"}, "paths": paths}


def _refused(status: HTTPStatus, message: str = "") -> tuple[HTTPStatus, Json]:
    reason = status.phrase.title().replace(" ", "")
    told = {"status": "Failure", "message": message or reason, "reason": reason, "code": status}
    return status, {"kind": "Status", "apiVersion": "v1", **told}


def _merged(kept: Any, change: Any) -> Any:
    """Change as RFC 7396 says, which is enough for what kubectl changes here."""
    if not isinstance(change, dict) or not isinstance(kept, dict):
        return change
    whole = {**kept, **{name: _merged(kept.get(name), one) for name, one in change.items()}}
    return {name: one for name, one in whole.items() if one is not None}
