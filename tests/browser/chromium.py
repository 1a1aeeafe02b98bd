"""Finds Debian's Chromium, and installs it where that is allowed; says so when neither works.

``python -m tests.browser.chromium`` does it ahead of the tests.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE = 300
#: What a browser in a closed network, run by root, needs; and quiet where it would look around.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    """Tell where Chromium is; None if this machine has none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def install() -> str | None:
    """Have Chromium from Debian's packages, if we may; tell where it is."""
    found = find()
    if found or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return found
    options = ["-y", "-qq", "--no-install-recommends"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": _PATIENCE}
    try:
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)  # type: ignore[call-overload]
        subprocess.run(["apt-get", "install", *options, "chromium"], check=False, **quiet)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        return None
    return find()


if __name__ == "__main__":
    where = install()
    sys.stdout.write(f"chromium: {where or 'none; the tests in a browser will be skipped'}\n")
