"""`make setup` finds a Python by itself, and repeats to uv what pip was told."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aisuru_mistral import env
from aisuru_mistral.launcher import pip_settings

SCRIPT = env.ROOT / "aisuru_mistral" / "launcher" / "setup.sh"
TOOLS = ("sh", "dirname", "ls", "grep", "sort", "cat")


@pytest.fixture
def which(tmp_path):
    """Ask the script which Python it takes, on a machine that has only what the test put there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(shutil.which(name))

    def which(**variables):
        kept = {  # without it some builds of Python do not run at all
            name: value for name, value in env.load().variables.items() if name == "LD_LIBRARY_PATH"
        }
        variables = kept | {"PATH": str(tools), "HOME": str(tmp_path / "home")} | variables
        return subprocess.run(
            [SCRIPT, "--which"], env=variables, capture_output=True, text=True, check=False
        )

    return which


def _script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{shutil.which('sh')}\n{text}\n")
    path.chmod(0o755)
    return path


def _python(path):
    return _script(path, f'exec {Path(sys.executable).resolve()} "$@"')


def _old_python(path):
    return _script(path, "exit 1")


def test_a_new_enough_python3_on_the_path_is_taken(which, tmp_path):
    good = _python(tmp_path / "bin" / "python3")
    assert which(PATH=f"{tmp_path / 'tools'}:{good.parent}").stdout.strip() == str(good)


def test_an_old_python3_and_a_shim_that_fails_are_passed_over(which, tmp_path):
    shims = _old_python(tmp_path / "shims" / "python3").parent
    _old_python(shims / "python3.13")
    good = _python(tmp_path / "bin" / "python3.12")
    found = which(PATH=f"{tmp_path / 'tools'}:{shims}:{good.parent}")
    assert found.stdout.strip() == str(good)


@pytest.mark.parametrize("told", ["PYENV_ROOT", "home", "pyenv root"])
def test_a_python_that_only_pyenv_knows_is_found_the_newest_first(which, tmp_path, told):
    root = tmp_path / ("home/.pyenv" if told == "home" else "elsewhere")
    _old_python(root / "versions" / "3.9.18" / "bin" / "python3")
    _python(root / "versions" / "3.12.9" / "bin" / "python3")
    newest = _python(root / "versions" / "3.12.10" / "bin" / "python3")
    variables = {}
    if told == "PYENV_ROOT":
        variables["PYENV_ROOT"] = str(root)
    if told == "pyenv root":
        _script(tmp_path / "tools" / "pyenv", f"echo {root}")
    assert which(**variables).stdout.strip() == str(newest)


def test_without_any_python_the_message_says_what_to_do(which):
    result = which()
    assert result.returncode == 1
    assert "No Python >= 3.12 found" in result.stderr
    assert "make setup PYTHON=" in result.stderr


def test_a_python_that_was_named_is_taken_or_refused_but_never_replaced(which, tmp_path):
    good = _python(tmp_path / "bin" / "python3")
    old = _old_python(tmp_path / "old" / "python3")
    path = f"{tmp_path / 'tools'}:{good.parent}"
    assert which(PATH=path, PYTHON=str(good)).stdout.strip() == str(good)
    refused = which(PATH=path, PYTHON=str(old))
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert f"PYTHON={old}" in refused.stderr


def _in_a_shell(lines, name, **variables):
    script = "\n".join([*lines, f'printf %s "${{{name}-}}"'])
    result = subprocess.run(
        ["sh", "-c", script], env=variables, capture_output=True, text=True, check=True
    )
    return result.stdout


def test_pips_mirror_folders_and_certificate_reach_uv():
    lines = pip_settings.shell_lines(
        {
            "index-url": "https://mirror.example/it's here/simple",
            "find-links": "/wheels /more/wheels",
            "cert": "/etc/ssl/own.crt",
        }
    )
    assert _in_a_shell(lines, "UV_DEFAULT_INDEX") == "https://mirror.example/it's here/simple"
    assert _in_a_shell(lines, "UV_FIND_LINKS") == "/wheels,/more/wheels"
    assert _in_a_shell(lines, "SSL_CERT_FILE") == "/etc/ssl/own.crt"


def test_what_uv_was_told_itself_stays():
    lines = pip_settings.shell_lines({"index-url": "https://mirror.example/simple"})
    own = "https://own.example/simple"
    assert _in_a_shell(lines, "UV_DEFAULT_INDEX", UV_DEFAULT_INDEX=own) == own


def test_pips_environment_wins_over_its_files(tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://global.example/simple\ntimeout = 7\n"
        "[install]\nindex-url = https://install.example/simple\n"
    )
    code = (
        "from aisuru_mistral.launcher.pip_settings import pip_settings;"
        "s = pip_settings(); print(s['index-url'], s['timeout'], s['find-links'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=env.ROOT,
        env={
            **env.load().variables,
            "PIP_CONFIG_FILE": str(config),
            "PIP_FIND_LINKS": "/from/environment",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["https://install.example/simple", "7", "/from/environment"]


def test_the_bootstrap_installs_the_uv_that_the_lock_names():
    def pinned(name):
        lines = (env.ROOT / "requirements" / name).read_text().splitlines()
        return [line.split()[0] for line in lines if line.startswith("uv==")]

    assert pinned("uv.txt") == pinned("dev.txt")
    assert "--hash=sha256:" in (env.ROOT / "requirements" / "uv.txt").read_text()
