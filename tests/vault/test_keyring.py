"""The keyring of a process is what its settings say: keys of its own, of Vault and of KMS."""

import base64
import os

import boto3
import pytest
from django.conf import settings
from moto import mock_aws

from aisuru_mistral.master_keys import Vault
from tenants.common.secrets import Secret
from tenants.vault import envelope, keyring, platform
from tenants.vault.aead import AeadKey, OpeningError, UnknownKeyError, key_id_of
from tenants.vault.distant import Distant
from tenants.vault.transit import TransitKey
from tests.vault.rings import ring_of, some_key
from tests.vault.test_envelope import KEY_PLACE
from tests.vault.vault_server import KEY, TOKEN, VaultServer

PLAIN = Secret(os.urandom(32))


def made_of(monkeypatch, *entries):
    """The keyring that a process with this setting has."""
    monkeypatch.setattr(settings, "ENCRYPTION_KEYRING", entries)
    return keyring.keyring.__wrapped__()


def test_the_first_entry_wraps_and_every_entry_opens(monkeypatch):
    new, old = some_key("new"), some_key("old")
    ring = made_of(monkeypatch, ("new", Secret(new.octets)), ("old", Secret(old.octets)))
    assert ring.ids == ("new", "old")
    box = ring.wrap(PLAIN, b"here")
    assert key_id_of(box) == ring.newest_id == "new"
    assert ring_of(new).unwrap(box, b"here") == PLAIN
    assert ring.unwrap(ring_of(old).wrap(PLAIN, b"here"), b"here") == PLAIN


def test_an_entry_of_vault_is_the_key_of_that_name_in_the_vault_of_the_environment(monkeypatch):
    with VaultServer() as server:
        vault = Vault(server.address, TOKEN, None, "transit", "team/a", None)
        monkeypatch.setattr(settings, "VAULT", vault, raising=False)
        ring = made_of(monkeypatch, ("v1", f"vault:{KEY}"))
        box = ring.wrap(PLAIN, b"here")
        assert key_id_of(box) == "v1"
        assert (server.asked, server.namespace) == (["encrypt"], "team/a")
        assert ring.unwrap(box, b"here") == PLAIN
        assert server.asked == ["encrypt"], "what was just wrapped is remembered for a moment"
        distant = ring._keys["v1"]
        assert isinstance(distant, Distant)
        assert distant._key_id == "v1", "the log has the name of the entry"
        assert isinstance(distant._key, TransitKey)
        distant._key.close()


def test_an_entry_of_kms_is_the_key_of_that_arn_in_the_region_of_the_arn(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    with mock_aws():
        client = boto3.client("kms", region_name="eu-south-1")
        arn = client.create_key()["KeyMetadata"]["Arn"]
        ring = made_of(monkeypatch, ("a1", f"kms:{arn}"))
        box = ring.wrap(PLAIN, b"here")
        assert key_id_of(box) == "a1"
        context = {"aim": base64.b64encode(b"\1\2a1here").decode()}
        told = client.decrypt(CiphertextBlob=box[4:], EncryptionContext=context)
        assert (told["Plaintext"], told["KeyId"]) == (PLAIN.reveal(), arn)
        distant = ring._keys["a1"]
        assert isinstance(distant, Distant)
        assert distant._key_id == "a1"


def test_a_data_key_is_checked_and_rewrapped_in_its_place_only(monkeypatch):
    new, old = some_key("new"), some_key("old")
    monkeypatch.setattr(envelope, "keyring", lambda: ring_of(old))
    data_key = envelope.new_data_key(KEY_PLACE)
    assert envelope.rewrap(data_key, KEY_PLACE) is data_key
    monkeypatch.setattr(envelope, "keyring", lambda: ring_of(new, old))
    envelope.check(data_key, KEY_PLACE)
    elsewhere = envelope.Place(KEY_PLACE.organization, None, KEY_PLACE.row, "other", 1)
    for refuse in (envelope.check, envelope.rewrap):
        with pytest.raises(OpeningError):
            refuse(data_key, elsewhere)
    rewrapped = envelope.rewrap(data_key, KEY_PLACE)
    assert envelope.master_key_of(rewrapped) == "new"
    associated = KEY_PLACE.associated()
    opened = ring_of(new).unwrap(rewrapped, associated)
    assert opened == ring_of(old).unwrap(data_key, associated)
    assert len(opened.reveal()) == 32
    monkeypatch.setattr(envelope, "keyring", lambda: ring_of(new))
    with pytest.raises(UnknownKeyError):
        envelope.check(data_key, KEY_PLACE)


def test_a_text_of_the_platform_opens_for_its_purpose_and_moves_to_the_newest_key(monkeypatch):
    new, old = some_key("new"), some_key("old")
    monkeypatch.setattr(platform, "keyring", lambda: ring_of(old))
    sealed = platform.seal(Secret("città"), b"codes")
    assert sealed.startswith("sealed:")
    assert platform.rewrap(sealed, b"codes") is sealed
    with pytest.raises(OpeningError):
        platform.unseal(sealed, b"secrets")
    monkeypatch.setattr(platform, "keyring", lambda: ring_of(new, old))
    with pytest.raises(OpeningError):
        platform.rewrap(sealed, b"secrets")
    moved = platform.rewrap(sealed, b"codes")
    assert (platform.master_key_of(sealed), platform.master_key_of(moved)) == ("old", "new")
    assert platform.unseal(moved, b"codes").reveal() == "città"


@pytest.mark.parametrize("text", ["", "sealed:", "sealed:AQFh!", "sealed:AQE", "plain"])
def test_what_is_no_sealed_text_is_refused(text):
    for ask in (platform.master_key_of, lambda sealed: platform.unseal(sealed, b"codes")):
        with pytest.raises(OpeningError):
            ask(text)


def test_a_box_of_one_key_is_refused_by_another_of_the_same_length():
    one, other = AeadKey("k", bytes(32)), AeadKey("j", bytes(32))
    with pytest.raises(OpeningError):
        other.open(one.seal(b"x", b""), b"")
