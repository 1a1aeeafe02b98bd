"""Builds the real image by buildah, without an engine, and runs it as compose.yaml has it run.

No image registry is asked: what stands for the base image is Debian with its own Python, put
together by debootstrap. A container is the image's files in mounts of its own: nothing can be
written but /tmp, in memory, without a capability, as the image's user.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aisuru_mistral.launcher.pip_settings import pip_settings
from tests.docker.image import ROOT, instructions

SUITE = "trixie"
PACKAGES = "python3,python3-venv,ca-certificates"
_INSIDE = """
root=$1; sockets=$2; shift 2
mount --bind "$root" "$root"
for there in proc dev; do mount --rbind "/$there" "$root/$there"; done
mount -t tmpfs -o nosuid,nodev,noexec tmpfs "$root/tmp"
mkdir -p "$root$sockets" && mount --bind "$sockets" "$root$sockets"
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""
_AS_USER = ("--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")


def missing() -> str:
    """Say what keeps it from being built here; nothing if nothing does."""
    if os.geteuid() != 0:
        return "only root may mount"
    programs = ("buildah", "debootstrap", "unshare", "setpriv")
    return ", ".join(name for name in programs if shutil.which(name) is None)


@dataclass(frozen=True)
class Built:
    """A built image and a container's files.

    Attributes:
        folder: the files.
        facts: what the image says of itself: ``Env``, ``User``, ``Entrypoint`` and so on.
        sockets: PostgreSQL's folder, which is seen inside.
    """

    folder: Path
    facts: dict[str, Any]
    sockets: Path

    @property
    def user(self) -> str:
        return str(self.facts["User"])

    @property
    def entrypoint(self) -> Path:
        [program] = self.facts["Entrypoint"]
        return Path(str(self.facts["WorkingDir"]), program)

    def run(self, *command: str | Path, **changes: str) -> subprocess.Popen[str]:
        """Start something in it: the image's user and environment, no others."""
        user, _, group = self.user.partition(":")
        variables = dict(pair.split("=", 1) for pair in self.facts["Env"]) | changes
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _INSIDE, "sh"]
        words += [str(self.folder), str(self.sockets)]
        words += ["setpriv", f"--reuid={user}", f"--regid={group}", *_AS_USER]
        words += ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        return subprocess.Popen(
            [*words, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


class Builder:
    """Buildah with a store of its own, in a folder that goes when it is done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build(self, database: str) -> Built:
        """Build the image of the checkout; a database's address tells where its socket is."""
        self._base()
        self._do(
            *("bud", "--isolation", "chroot", "--format", "docker", "--pull-never"),
            *(f"--volume={there}:{inside}:ro" for there, inside in self._settings_of_pip()),
            *("--file", "docker/Dockerfile", "--tag", "localhost/aisuru-mistral", "."),
        )
        told = self._do("inspect", "--type", "image", "localhost/aisuru-mistral")
        container = self._do("from", "--pull-never", "localhost/aisuru-mistral").strip()
        files = Path(self._do("mount", container).strip())
        [sockets] = parse_qs(urlsplit(database).query)["host"]
        return Built(files, json.loads(told)["Docker"]["config"], Path(sockets))

    def close(self) -> None:
        """Unmount it and take the store away."""
        self._do("umount", "--all")
        self._do("rm", "--all")
        shutil.rmtree(self._folder)

    def _base(self) -> None:
        """Make what the Dockerfile begins with; there Python is in /usr/local, here linked."""
        text = (ROOT / "docker" / "Dockerfile").read_text()
        facts = dict(rest.split("=") for word, rest in instructions(text) if word == "ARG")
        [name] = {
            rest.split()[0].replace("${PYTHON}", facts["PYTHON"])
            for word, rest in instructions(text)
            if word == "FROM"
        }
        files = self._folder / "base"
        _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(files))
        (files / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        version = _run("chroot", str(files), "python", "--version")
        assert version.startswith(f"Python {facts['PYTHON']}."), version
        container = self._do("from", "scratch").strip()
        self._do("add", container, str(files), "/")
        path = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._do("config", "--env", f"PATH={path}", container)
        self._do("commit", "--rm", container, f"localhost/{name}")
        shutil.rmtree(files)

    def _settings_of_pip(self) -> list[tuple[str, str]]:
        """Let pip inside find its index as pip does here: for the steps alone, not in the image."""
        found = pip_settings()
        lines = ["[global]"]
        lines += [f"{name} = {found[name]}" for name in ("index-url", "proxy") if name in found]
        mounted = []
        if certificate := found.get("cert"):
            lines.append("cert = /etc/pip-certificate.pem")
            mounted = [(certificate, "/etc/pip-certificate.pem")]
        settings = self._folder / "pip.conf"
        settings.write_text("\n".join(lines))
        return [*mounted, (str(settings), "/etc/pip.conf")]

    def _do(self, *words: str) -> str:
        where = (f"--root={self._folder}/store", f"--runroot={self._folder}/run")
        return _run("buildah", *where, *words)


def _run(*words: str) -> str:
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        sys.stderr.write(done.stdout[-4000:] + done.stderr[-4000:])
        raise RuntimeError(f"{words[0]} {words[1]} ended with {done.returncode}")
    return done.stdout
