"""What papers and settings tell somebody to type inside a sentence or a comment, typed."""

import re
import stat
import subprocess
from pathlib import Path

import pytest

from aisuru_mistral import master_keys
from aisuru_mistral.doctor import configuration
from aisuru_mistral.env import ConfigurationError, Environment
from tenants.common.secrets import Secret
from tenants.vault.transit import Token, TransitKey
from tests.papers.pages import ROOT, blocks, pages, tracked
from tests.vault.vault_server import KEY, TOKEN, VaultServer

_ONE_LINE = re.compile(r"python3 -c '[^'\n]+'")
_READS = "sys.stdin", "open("  # steps of pages that are played


def makers() -> dict[str, list[str]]:
    """Every one-line program that makes a secret, and where it stands."""
    found: dict[str, list[str]] = {}
    for name in tracked():
        if name.endswith((".md", ".yaml", ".example")):
            for line in _ONE_LINE.findall((ROOT / name).read_text(encoding="utf-8")):
                if not any(word in line for word in _READS):
                    found.setdefault(line, []).append(name)
    for variable in ("SECRET_KEY", "ENCRYPTION_KEYRING"):
        with pytest.raises(ConfigurationError) as refused:
            getattr(Environment({"DATA_DIR": "/nonexistent"}), variable.lower())
        [line] = _ONE_LINE.findall(str(refused.value))
        found.setdefault(line, []).append(variable)
    return found


def typed(line: str, folder: Path = ROOT) -> str:
    done = subprocess.run(
        ["bash", "-euc", line], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_makes_a_secret_makes_one_that_is_taken():
    found = makers()
    assert len(found) >= 4
    named = {name for names in found.values() for name in names}
    assert {"docs/runbooks/rotation.md", "docker/compose.yaml", ".env.example"} <= named
    for line in found:
        made = typed(line)
        assert made != typed(line), "it is random"
        if ":" in made:
            entry = made.partition(":")[0]
            assert f'"{entry}:"' in line
            assert Environment({"ENCRYPTION_KEYRING": made}).encryption_keyring[0][0] == entry
        elif "token_urlsafe(64)" in line:
            assert Environment({"SECRET_KEY": made}).secret_key == made
        else:
            address = f"postgresql://postgres:{made}@postgres/aisuru"
            assert Environment({"DATABASE_URL": address}).database_url == address


def test_a_new_master_key_goes_beside_the_old_one():
    old, new = (line for line in sorted(makers()) if '"k' in line)
    ring = Environment({"ENCRYPTION_KEYRING": f"{typed(old)},{typed(new)}"}).encryption_keyring
    assert [name for name, _key in ring] == ["k1", "k2"]


def test_the_head_of_compose_makes_all_its_secrets(tmp_path):
    text = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    head = text.partition("# Then ")[0]
    lines = [line.removeprefix("#   ") for line in head.splitlines() if line.startswith("#   ")]
    assert len(lines) == 7
    given = typed('sudo() { echo "$*"; }\n' + "\n".join(lines), tmp_path)
    assert given == "chgrp -R 10001 secrets"
    secrets = tmp_path / "secrets"
    declared = set(re.findall(r"\{file: \./secrets/(\w+)\}", text))
    assert {path.name for path in secrets.iterdir()} == declared | {"aisuru"}
    for path in (secrets, *secrets.iterdir()):
        assert not path.stat().st_mode & stat.S_IRWXO
        assert path.stat().st_mode & stat.S_IRGRP
    names = {
        "SECRET_KEY": "secret_key",
        "ENCRYPTION_KEYRING": "keyring",
        "DATABASE_URL": "database_url",
        "DATABASE_OWNER_URL": "owner_url",
    }
    files = {f"{name}_FILE": str(secrets / file) for name, file in names.items()}
    environment = Environment({"DATA_DIR": str(tmp_path), **files})
    assert environment.refusals() == []
    states = {one.code: one.state for one in configuration.looks(environment)["secrets"]()}
    assert states == {"secrets": "ok"}
    owner, password = (Path(secrets, name).read_text() for name in ("owner_url", "owner_password"))
    assert owner.strip() == f"postgresql://postgres:{password.strip()}@postgres/aisuru"
    assert password.strip() not in environment.database_url


def test_vaults_policy_allows_what_the_service_asks_of_the_key_that_the_runbook_makes():
    [policy] = [one.text for one in blocks("docs/custody.md") if one.language == "hcl"]
    rule = re.compile(r'^path "(\S+)" \{ capabilities = \[(.+)\] \}$', re.MULTILINE)
    allowed = dict(rule.findall(policy))
    assert set(allowed.values()) == {'"update"'}
    runbook = " ".join(pages()["docs/runbooks/rotation.md"].split())
    [(made, entry)] = re.findall(r"`vault write -f (\S+)`, entry `(\S+)`", runbook)
    [(_name, key)] = master_keys.read(entry)
    assert key == f"{master_keys.VAULT}{KEY}"
    assert made == f"transit/keys/{KEY}"
    with VaultServer() as vault:
        there = TransitKey(vault.address, KEY, Token(Secret(TOKEN)))
        wrapped = there.wrap(Secret(b"k" * 32), b"here")
        assert there.unwrap(wrapped, b"here").reveal() == b"k" * 32
        there.close()
        assert {f"transit/{verb}/{KEY}" for verb in vault.asked} == set(allowed)
