#!/bin/sh
# Makes .venv hold exactly the packages of requirements/dev.txt; takes no time when it already does. Never needs root.
# With --which it only says which Python it would use.
set -eu
umask 022 # the embedded PostgreSQL runs as another user when started by root: it must be able to read what is installed
cd "$(dirname "$0")/../.."

python=.venv/bin/python
stamp=.venv/.setup-done

say() { printf '%s\n' "$*"; }

fingerprint() {
    cat requirements/uv.txt requirements/dev.txt | cksum
    "$python" -c 'import sys; print(sys.version)' 2>/dev/null || say "no Python"
}

is_done() { [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; }

# CPython >= 3.12 that is released, has the GIL (wheels!) and can make a virtual environment. A pyenv shim may exist and fail.
is_usable() {
    "$1" -c 'import sys, sysconfig, venv, ensurepip
v = sys.version_info
sys.exit(not (v >= (3, 12) and v.releaselevel == "final" and sys.implementation.name == "cpython"
              and not sysconfig.get_config_var("Py_GIL_DISABLED")))' >/dev/null 2>&1
}

python_on_path() {
    for name in python3 python3.14 python3.13 python3.12; do
        rest=$PATH:
        while [ -n "$rest" ]; do
            candidate=${rest%%:*}/$name
            rest=${rest#*:}
            if [ -x "$candidate" ] && is_usable "$candidate"; then say "$candidate"; return 0; fi
        done
    done
    return 1
}

python_of_pyenv() {
    for root in "${PYENV_ROOT-}" "${HOME-}/.pyenv" "$(pyenv root 2>/dev/null || :)"; do
        [ -d "$root/versions" ] || continue
        newest_first=$(ls "$root/versions" | grep '^[0-9]' | sort -t. -k1,1nr -k2,2nr -k3,3nr) || continue
        for version in $newest_first; do
            candidate=$root/versions/$version/bin/python3
            if [ -x "$candidate" ] && is_usable "$candidate"; then say "$candidate"; return 0; fi
        done
    done
    return 1
}

python_of_uv() {
    command -v uv >/dev/null 2>&1 || return 1
    candidate=$(uv python find '>=3.12' 2>/dev/null) && is_usable "$candidate" && { say "$candidate"; return 0; }
    say "No Python >= 3.12 here: letting uv fetch one" >&2
    uv python install 3.13 >&2 || return 1
    candidate=$(uv python find 3.13 2>/dev/null) && is_usable "$candidate" && say "$candidate"
}

find_python() {
    if [ -n "${PYTHON-}" ]; then
        candidate=$(command -v "$PYTHON" || :)
        if [ -n "$candidate" ] && is_usable "$candidate"; then say "$candidate"; return 0; fi
        say "PYTHON=$PYTHON is not a CPython >= 3.12 with venv and ensurepip. Unset it, or name another." >&2
        return 1
    fi
    python_on_path || python_of_pyenv || python_of_uv || {
        say "No Python >= 3.12 found: looked for python3 and python3.12 to 3.14 on PATH, in pyenv's versions and with uv." >&2
        say "Install one (on Debian and Ubuntu with its venv package: python3.12 and python3.12-venv; or 'pyenv install 3.13')," >&2
        say "or name one: make setup PYTHON=/path/to/python3.13" >&2
        return 1
    }
}

if [ "${1-}" = --which ]; then
    find_python
    exit
fi
if is_done; then exit 0; fi

# Two setups at once would install over each other; the lock is on a file that is there anyway.
if command -v flock >/dev/null 2>&1; then
    exec 9<requirements/dev.txt
    if ! flock -n 9; then
        say "Another setup is running here: waiting for it"
        flock 9
        if is_done; then exit 0; fi
    fi
fi

if ! { is_usable "$python" && "$python" -m pip --version >/dev/null 2>&1; }; then
    found=$(find_python)
    say "1/3 Making .venv with $("$found" -V) ($found)"
    rm -rf .venv
    "$found" -m venv .venv
fi

if ! [ -x .venv/bin/uv ]; then
    say "2/3 Installing uv"
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
fi

say "3/3 Installing the locked packages"
settings=$("$python" -P aisuru_mistral/launcher/pip_settings.py) # uv does not read pip's configuration
eval "$settings"
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"
.venv/bin/uv pip sync --python "$python" --require-hashes --compile-bytecode --link-mode copy requirements/dev.txt

fingerprint >"$stamp.new"
mv "$stamp.new" "$stamp"
say "Ready: .venv with $("$python" -V)"
