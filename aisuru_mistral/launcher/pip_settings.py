"""Prints pip's configuration as shell lines for uv, which does not read it.

It never overrides what uv was told. A machine that installs through a mirror, a folder of wheels or
a private certificate has said so to pip; this repeats it. It runs with the standard library alone,
before anything is installed.
"""

import ast
import shlex
import subprocess
import sys

TRANSLATIONS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "trusted-host": "UV_INSECURE_HOST",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
SEVERAL_WORDS = {"find-links": ",", "extra-index-url": " ", "trusted-host": " "}
SECTIONS_IN_RISING_ORDER = ("global", "install", ":env:")


def pip_settings() -> dict[str, str]:
    """Return pip's effective settings: its environment wins over `install`, that over `global`."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    by_section: dict[str, dict[str, str]] = {section: {} for section in SECTIONS_IN_RISING_ORDER}
    for line in listed.stdout.splitlines():
        name, _, quoted = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in by_section and quoted:
            by_section[section][option] = str(ast.literal_eval(quoted))
    return {
        option: value
        for section in SECTIONS_IN_RISING_ORDER
        for option, value in by_section[section].items()
    }


def shell_lines(settings: dict[str, str]) -> list[str]:
    """Return one `export` per setting that uv knows; each yields to the environment."""
    lines = []
    for option, variable in TRANSLATIONS.items():
        value = settings.get(option, "").strip()
        if option in SEVERAL_WORDS:
            value = SEVERAL_WORDS[option].join(value.split())
        if value:
            lines.append(f'[ -n "${{{variable}-}}" ] || export {variable}={shlex.quote(value)}')
    if "extra-index-url" in settings:
        # pip takes a package from whichever index has the version; the hashes guard what it is.
        lines.append('export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"')
    return lines


if __name__ == "__main__":
    print("\n".join(shell_lines(pip_settings())))
