"""Builds the image's last stage into a folder, step by step as the Dockerfile says, without Docker.

Paths of the image (``/opt/…``, ``/app``) become paths below the folder; everything else is done as
it stands: the same packages by the same commands, the same files copied, the same environment.
"""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USER = 10001


@dataclass
class Image:
    """A built image.

    Attributes:
        folder: stands for the image's root.
        environment: as ``ENV`` sets it.
        entrypoint: of a container, as a path outside.
        skipped: steps that make the user, which the machine's administrator would have to make.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: Path = Path()
    skipped: list[str] = field(default_factory=list)
    user: str = ""
    workdir: str = "/"

    def inside(self, text: str) -> str:
        """Move the image's absolute paths into the folder."""
        return re.sub(r"(?<![\w.])/(opt|app|build)\b", rf"{self.folder}/\1", text)

    def run(self, *command: str | Path, **changes: str) -> subprocess.Popen[str]:
        """Start something as a container would: the image's user and environment, no others."""
        return subprocess.Popen(
            [*_as_user(), *map(str, command)],
            cwd=self.inside(self.workdir),
            env={"LD_LIBRARY_PATH": f"{self.folder}/python/lib"} | self.environment | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def build(folder: Path) -> Image:
    """Do what the Dockerfile says; its stages share the folder, as they copy the same paths on."""
    image = Image(folder)
    folder.chmod(0o755)
    python = _base_python(folder)
    for word, rest in instructions((ROOT / "docker" / "Dockerfile").read_text()):
        _do(image, word, rest, python)
    return image


def _do(image: Image, word: str, rest: str, python: Path) -> None:
    match word:
        case "ARG" | "FROM" | "EXPOSE" | "HEALTHCHECK" | "CMD":
            pass
        case "WORKDIR":
            image.workdir = rest
            Path(image.inside(rest)).mkdir(parents=True, exist_ok=True)
        case "COPY":
            _copy(image, shlex.split(rest))
        case "RUN" if rest.startswith("useradd"):
            image.skipped.append(rest)
        case "RUN":
            _run(image, rest, python)
        case "ENV":
            for name, value in (pair.split("=", 1) for pair in shlex.split(rest)):
                there = os.environ["PATH"] if name == "PATH" else ""  # noqa: TID251
                image.environment[name] = image.inside(value).replace("$PATH", there)
        case "USER":
            image.user = rest
        case "ENTRYPOINT":
            image.entrypoint = Path(image.inside(image.workdir)) / rest.strip('[]"')
        case _:
            raise ValueError(f"the Dockerfile has a {word}, which nobody does here")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield a Dockerfile's instructions: the word, and all that follows it in one line."""
    without_comments = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", without_comments).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, " ".join(rest.split())


def _copy(image: Image, words: list[str]) -> None:
    if words[0].startswith("--from="):
        assert words[1] == words[2], "stages share one folder here"
        assert Path(image.inside(words[1])).exists()
        return
    *sources, target = words
    place = Path(image.inside(image.workdir)) / target
    for source in sources:
        into = place / Path(source).name if target.endswith("/") else place
        into.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, into)


def _run(image: Image, command: str, python: Path) -> None:
    subprocess.run(
        ["sh", "-euc", image.inside(command)],
        cwd=image.inside(image.workdir),
        env=os.environ | {"PATH": f"{python}:{os.environ['PATH']}"},  # noqa: TID251
        check=True,
        capture_output=True,
    )


def _base_python(folder: Path) -> Path:
    """Find a Python that stands for the base image's; one in a closed home is copied out."""
    home = Path(sys.base_prefix)
    if all(place.stat().st_mode & stat.S_IXOTH for place in (home, *home.parents)):
        return home / "bin"
    unneeded = shutil.ignore_patterns("test", "site-packages", "__pycache__")
    shutil.copytree(home, folder / "python", symlinks=True, ignore=unneeded)
    return folder / "python" / "bin"


def _as_user() -> list[str]:
    """Become the image's user, where we are allowed to."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"]
