"""The secrets of a DATA_DIR: made once, private, never replaced behind anybody's back."""

import base64
import os

import pytest

from aisuru_mistral import env
from aisuru_mistral.launcher import private_files
from aisuru_mistral.launcher.console import CannotStart


@pytest.fixture
def said():
    return []


@pytest.fixture
def ensure(tmp_path, said):
    def ensure(**variables):
        environment = env.Environment({"DATA_DIR": str(tmp_path)} | variables)
        return private_files.ensure_secrets(environment, said.append)

    return ensure


def test_secrets_are_made_once_private_and_said(ensure, tmp_path, said):
    made = ensure()
    path = tmp_path / "secrets.env"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(said) == 1
    assert str(path) in said[0]
    assert not any(secret in said[0] for secret in made.values())
    assert ensure() == made
    assert len(said) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.env"]


def test_the_made_secrets_are_ones_that_the_service_accepts(ensure, tmp_path):
    made = ensure()
    accepted = env.Environment({"DATA_DIR": str(tmp_path)})
    assert accepted.secret_key == made["SECRET_KEY"]
    [(key_id, key)] = accepted.encryption_keyring
    assert isinstance(key, bytes)
    assert (key_id, len(key)) == ("k1", 32)
    assert made["ENCRYPTION_KEYRING"] == f"k1:{base64.b64encode(key).decode()}"


def test_two_data_dirs_share_no_secret(tmp_path, said):
    first, second = (
        private_files.ensure_secrets(env.Environment({"DATA_DIR": str(folder)}), said.append)
        for folder in (tmp_path / "a", tmp_path / "b")
        if not folder.mkdir()
    )
    assert not set(first.values()) & set(second.values())


def test_a_secret_given_by_the_environment_is_not_made(ensure, tmp_path):
    made = ensure(SECRET_KEY="given", ENCRYPTION_KEYRING_FILE="/run/secrets/keyring")
    assert sorted(made) == ["POSTGRES_APP_PASSWORD", "POSTGRES_PASSWORD"]
    with pytest.raises(CannotStart, match="lacks SECRET_KEY, ENCRYPTION_KEYRING"):
        ensure()


@pytest.mark.parametrize("lost", ["SECRET_KEY", "ENCRYPTION_KEYRING", "POSTGRES_PASSWORD"])
def test_an_incomplete_file_is_refused_and_left_as_it_is(ensure, tmp_path, lost):
    ensure()
    path = tmp_path / "secrets.env"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{lost}=")]
    path.write_text("\n".join(lines))
    before = path.read_bytes()
    with pytest.raises(CannotStart, match=f"lacks {lost}"):
        ensure()
    assert path.read_bytes() == before


def test_a_damaged_file_is_refused_and_left_as_it_is(ensure, tmp_path):
    path = tmp_path / "secrets.env"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CannotStart, match="keyring"):
        ensure()
    assert path.read_bytes() == b"\xff\xfe\x00"


def test_a_lost_file_beside_its_database_is_refused_and_not_made_anew(ensure, tmp_path):
    (tmp_path / "postgres").mkdir()
    with pytest.raises(CannotStart, match="is gone but its database is still there"):
        ensure()
    assert not (tmp_path / "secrets.env").exists()


def test_a_file_that_others_can_read_is_told(ensure, tmp_path, said):
    ensure()
    (tmp_path / "secrets.env").chmod(0o644)
    ensure()
    assert "chmod 600" in said[-1]


def test_a_private_file_replaces_the_old_one_whole_and_with_its_mode(tmp_path):
    path = tmp_path / "run.env"
    path.write_text("OLD=1\n")
    path.chmod(0o644)
    mask = os.umask(0)
    try:
        private_files.write_private(path, "NEW=1\n")
    finally:
        os.umask(mask)
    assert path.read_text() == "NEW=1\n"
    assert path.stat().st_mode & 0o777 == 0o600
