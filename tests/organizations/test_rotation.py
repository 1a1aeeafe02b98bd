"""Keyring rotation, with traffic running, killed half-way, and with a key that is gone."""

import base64
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.organizations import data_keys, rotation
from tenants.organizations.models import DataKey
from tenants.vault import keyring as keyring_module
from tenants.vault.aead import AeadKey, OpeningError
from tenants.vault.envelope import Place
from tests import factories
from tests.postgres import service_environment
from tests.vault.rings import forget, ring_of

OLD = AeadKey("old", os.urandom(32))
NEW = AeadKey("new", os.urandom(32))
OWN = tuple(
    AeadKey(key_id, key.reveal())
    for key_id, key in settings.ENCRYPTION_KEYRING
    if isinstance(key, Secret)
)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def keyring(monkeypatch):
    """Put a keyring in place of the process's own; other tests' rows stay readable."""

    def use(*keys: AeadKey):
        ring = ring_of(*keys, *OWN)
        monkeypatch.setattr("tenants.vault.envelope.keyring", lambda: ring)

    yield use
    monkeypatch.undo()
    keyring_module.keyring.cache_clear()
    forget("old", "new")


def sealed(organization, text: str):
    place = Place(organization.id, None, uuid4(), "test", 1)
    with scope.tenant(organization.id):
        box = data_keys.seal(Secret(text), key=data_keys.newest(organization.id), place=place)
    return box, place


def opened(organization, box, place) -> str:
    with scope.tenant(organization.id):
        return data_keys.unseal(box, key=data_keys.newest(organization.id), place=place).reveal()


def test_rotation_moves_every_data_key_and_secrets_open_before_and_after(keyring):
    keyring(OLD)
    organizations = [factories.organization() for _ in range(3)]
    boxes = [sealed(one, f"secret {number}") for number, one in enumerate(organizations)]
    keyring(NEW, OLD)
    for number, one in enumerate(organizations):
        assert opened(one, *boxes[number]) == f"secret {number}"
    walked = sum(rotation.rotate(), start=Counter())
    assert walked["old"] == 0
    assert walked["new"] >= 3
    keyring(NEW)  # the old key is gone for good
    for number, one in enumerate(organizations):
        assert opened(one, *boxes[number]) == f"secret {number}"


def test_a_rotation_that_was_interrupted_is_finished_by_the_next(keyring):
    keyring(OLD)
    organizations = [factories.organization() for _ in range(3)]
    keyring(NEW, OLD)
    interrupted = rotation.rotate()
    next(interrupted)
    interrupted.close()
    assert sum(found["old"] for found in rotation.rotate()) == 0
    with scope.tenant(organizations[-1].id):
        first = bytes(DataKey.objects.get().wrapped)
    list(rotation.rotate())
    with scope.tenant(organizations[-1].id):
        assert bytes(DataKey.objects.get().wrapped) == first, "what is rotated is left alone"


def test_without_its_master_key_nothing_opens_and_rotation_says_so(keyring):
    keyring(OLD)
    organization = factories.organization()
    box, place = sealed(organization, "lost")
    keyring(NEW)
    with pytest.raises(OpeningError):
        opened(organization, box, place)
    assert sum(found[data_keys.UNOPENED] for found in rotation.rotate()) == 1


def test_the_command_rotates_and_says_what_may_leave_the_keyring():
    factories.organization()
    newest = f"n9:{base64.b64encode(os.urandom(32)).decode()}"

    def run(*keyrings: str):
        return subprocess.run(
            [sys.executable, "manage.py", "rotate_keyring"],
            cwd=ROOT,
            env=service_environment(ENCRYPTION_KEYRING=",".join(keyrings)),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    own = service_environment()["ENCRYPTION_KEYRING"]
    assert "t1: 0 data keys; may leave the keyring" in run(newest, own)
    assert "n9: 0 data keys; may leave the keyring" in run(own, newest)  # and back again
