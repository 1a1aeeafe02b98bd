"""Every kind of master key wraps and unwraps alike, and fails closed in every respect."""

import os
import time
from dataclasses import astuple, replace
from uuid import uuid4

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from tenants.common.secrets import Secret
from tenants.vault import envelope
from tenants.vault.aead import AeadKey, OpeningError, UnknownKeyError, key_id_of
from tenants.vault.distant import Distant, KeyringUnavailableError
from tenants.vault.envelope import Place
from tenants.vault.keyring import Keyring
from tenants.vault.keys import LocalKey
from tenants.vault.kms import KmsKey
from tenants.vault.transit import Token, TransitKey
from tests.vault.vault_server import KEY, TOKEN, VaultServer

HOME = Place(uuid4(), uuid4(), uuid4(), "mistral-key", 3)
PLACE = replace(HOME, workspace=None, slot="data-key", version=1)
PLAIN = Secret(os.urandom(32))


@pytest.fixture(scope="module")
def vault():
    with VaultServer() as server:
        yield server


@pytest.fixture(scope="module")
def kms():
    with mock_aws():
        client = boto3.client(
            "kms",
            region_name="eu-south-1",
            aws_access_key_id="made-up",
            aws_secret_access_key="made-up",
        )
        yield client


OPENED: list[TransitKey] = []


@pytest.fixture(scope="module", autouse=True)
def _connections():
    yield
    for key in OPENED:
        key.close()


def transit_key(
    vault: VaultServer, token: Token | None = None, address: str = "", **facts
) -> TransitKey:
    key = TransitKey(address or vault.address, KEY, token or Token(Secret(TOKEN)), **facts)
    OPENED.append(key)
    return key


def kms_key(client) -> KmsKey:
    return KmsKey(client.create_key()["KeyMetadata"]["Arn"], client)


@pytest.fixture(scope="module")
def rings(vault, kms):
    """One ring of each kind; what they opened is not remembered, so each asks."""
    return {
        "local": Keyring({"k1": LocalKey(AeadKey("k1", os.urandom(32)))}),
        "vault": Keyring({"v1": Distant(transit_key(vault), "v1", opened=0, pause=0)}),
        "kms": Keyring({"a1": Distant(kms_key(kms), "a1", opened=0, pause=0)}),
    }


@pytest.fixture(params=["local", "vault", "kms"])
def ring(request, rings):
    return rings[request.param]


def assert_closed(ring: Keyring, box: bytes, place: Place = PLACE) -> None:
    # KMS denies access to a key that is not ours, which an altered ciphertext may name.
    closed = (OpeningError, KeyringUnavailableError) if "a1" in ring.ids else OpeningError
    with pytest.raises(closed):
        ring.unwrap(box, place.associated())


def test_what_is_wrapped_opens_in_its_place_and_names_its_master_key(ring):
    box = ring.wrap(PLAIN, PLACE.associated())
    assert ring.unwrap(box, PLACE.associated()) == PLAIN
    assert key_id_of(box) == ring.newest_id
    assert PLAIN.reveal() not in box
    assert ring.wrap(PLAIN, PLACE.associated()) != box


def test_no_byte_of_a_wrapped_key_can_be_changed_cut_or_added(ring):
    box = ring.wrap(PLAIN, PLACE.associated())
    for position in range(len(box)):
        altered = bytearray(box)
        altered[position] ^= 1 << position % 8
        assert_closed(ring, bytes(altered))
    for other in (b"", box[:1], box[:4], box[:-1], box + b"\0", b"\0" + box):
        assert_closed(ring, other)


@pytest.mark.parametrize("field", ["organization", "workspace", "row", "slot", "version"])
def test_a_wrapped_key_moved_in_any_respect_does_not_open(ring, field):
    elsewhere = replace(Place(uuid4(), uuid4(), uuid4(), "other", 9))
    box = ring.wrap(PLAIN, PLACE.associated())
    moved = replace(PLACE, **{field: getattr(elsewhere, field)})
    assert astuple(moved) != astuple(PLACE)
    assert_closed(ring, box, moved)


def test_a_box_does_not_open_under_another_name_on_the_same_ring(ring):
    """The header is bound too: two entries for the very same master key are still two."""
    key = ring._keys[ring.newest_id]
    twins = Keyring({"x1": key, "x2": key})
    box = twins.wrap(PLAIN, PLACE.associated())
    assert_closed(twins, box[:2] + b"x2" + box[4:])


def test_both_layers_fail_closed_over_every_kind_of_master_key(ring, monkeypatch):
    monkeypatch.setattr(envelope, "keyring", lambda: ring)
    data_key = envelope.new_data_key(PLACE)
    box = envelope.seal(Secret("x" * 32), data_key=data_key, data_key_place=PLACE, place=HOME)

    def opened(box=box, place=HOME, data_key=data_key, key_place=PLACE):
        return envelope.open_box(
            box, data_key=data_key, data_key_place=key_place, place=place
        ).reveal()

    assert opened() == "x" * 32
    other = Place(uuid4(), uuid4(), uuid4(), "other", 9)
    for field in ("organization", "workspace", "row", "slot", "version"):
        for facts in (
            {"place": replace(HOME, **{field: getattr(other, field)})},
            {"key_place": replace(PLACE, **{field: getattr(other, field)})},
        ):
            with pytest.raises(OpeningError):
                opened(**facts)
    for swapped in ({"box": data_key}, {"data_key": box}):
        with pytest.raises(OpeningError):
            opened(**swapped)


def test_a_master_key_of_another_service_opens_nothing(rings):
    boxes = {name: ring.wrap(PLAIN, PLACE.associated()) for name, ring in rings.items()}
    for name, ring in rings.items():
        for other, box in boxes.items():
            if other != name:
                with pytest.raises(UnknownKeyError):
                    ring.unwrap(box, PLACE.associated())


def test_a_ring_of_all_kinds_rotates_from_one_to_the_next_and_back(rings, monkeypatch):
    keys = {name: key for ring in rings.values() for name, key in ring._keys.items()}
    data_key = None
    for first in ("k1", "v1", "a1", "k1"):
        mixed = Keyring({first: keys[first], **keys})
        monkeypatch.setattr(envelope, "keyring", lambda ring=mixed: ring)
        data_key = envelope.rewrap(data_key, PLACE) if data_key else envelope.new_data_key(PLACE)
        assert key_id_of(data_key) == first
        assert envelope.rewrap(data_key, PLACE) is data_key, "what is rotated is left alone"


# ── Vault ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "mood", ["sealed", "standby", "broken", "garbage", "page", "empty", "odd", "too many"]
)
def test_a_vault_that_is_not_well_is_unavailable_and_never_an_altered_key(vault, mood):
    key = transit_key(vault)
    box = key.wrap(PLAIN, b"here")
    with vault.feeling(mood):
        for ask in (lambda: key.wrap(PLAIN, b"here"), lambda: key.unwrap(box, b"here")):
            with pytest.raises(KeyringUnavailableError) as refusal:
                ask()
            assert (refusal.value.code, refusal.value.status) == ("vault_unavailable", 503)
            assert TOKEN not in repr(refusal.value)
            assert refusal.value.__context__ is None, "httpx's error would carry the request"
    assert key.unwrap(box, b"here") == PLAIN


def test_a_vault_that_hangs_or_is_gone_is_given_up_soon(vault, monkeypatch):
    monkeypatch.setattr("tenants.vault.transit._TIMEOUT", 0.2)
    key = transit_key(vault)
    with vault.feeling("hang"), pytest.raises(KeyringUnavailableError):
        key.wrap(PLAIN, b"here")
    gone = transit_key(vault, address="http://127.0.0.1:9")
    with pytest.raises(KeyringUnavailableError):
        gone.wrap(PLAIN, b"here")


def test_a_denied_token_that_came_from_no_file_is_not_tried_again(vault):
    key = transit_key(vault, Token(Secret("hvs.old")))
    vault.asked.clear()
    with pytest.raises(KeyringUnavailableError) as refusal:
        key.wrap(PLAIN, b"here")
    assert refusal.value.cause == "status 403"
    assert vault.asked == ["encrypt"]


def test_a_denied_token_is_read_anew_from_its_file_once(vault, tmp_path):
    file = tmp_path / "token"
    file.write_text("hvs.old\n")
    key = transit_key(vault, Token(Secret("hvs.old"), file))
    with pytest.raises(KeyringUnavailableError):
        key.wrap(PLAIN, b"here")
    file.write_text(TOKEN + "\n")
    box = key.wrap(PLAIN, b"here")
    assert key.unwrap(box, b"here") == PLAIN
    file.unlink()
    vault.token = "hvs.revoked"
    try:
        with pytest.raises(KeyringUnavailableError):
            key.unwrap(box, b"here")
    finally:
        vault.token = TOKEN


def test_versions_of_a_vault_key_open_until_its_policy_forbids_them(vault):
    key = transit_key(vault, namespace="team/a")
    old = key.wrap(PLAIN, b"here")
    vault.rotate()
    assert key.unwrap(old, b"here") == PLAIN
    assert vault.namespace == "team/a"
    new = key.wrap(PLAIN, b"here")
    vault.least = len(vault.versions)
    try:
        with pytest.raises(UnknownKeyError):
            key.unwrap(old, b"here")
        assert key.unwrap(new, b"here") == PLAIN
    finally:
        vault.least = 1


def test_a_vault_key_that_was_deleted_is_gone_until_it_comes_back(vault):
    key = transit_key(vault)
    box = key.wrap(PLAIN, b"here")
    vault.is_deleted = True
    try:
        with pytest.raises(UnknownKeyError):
            key.unwrap(box, b"here")
        with pytest.raises(UnknownKeyError):
            key.wrap(PLAIN, b"here")
    finally:
        vault.is_deleted = False
    assert key.unwrap(box, b"here") == PLAIN


# ── KMS ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("DisabledException", KeyringUnavailableError),
        ("KMSInvalidStateException", KeyringUnavailableError),
        ("AccessDeniedException", KeyringUnavailableError),
        ("ThrottlingException", KeyringUnavailableError),
        ("KMSInternalException", KeyringUnavailableError),
        ("NotFoundException", UnknownKeyError),
        ("InvalidCiphertextException", OpeningError),
        ("IncorrectKeyException", OpeningError),
    ],
)
def test_a_refusal_of_kms_is_told_apart_from_a_key_that_does_not_open(kms, code, raised):
    key = kms_key(kms)
    box = key.wrap(PLAIN, b"here")
    for verb, ask in (
        ("encrypt", lambda: key.wrap(PLAIN, b"here")),
        ("decrypt", lambda: key.unwrap(box, b"here")),
    ):
        with Stubber(kms) as refusing:
            refusing.add_client_error(verb, service_error_code=code, service_message="no")
            with pytest.raises(raised) as refusal:
                ask()
        assert type(refusal.value) is raised
        assert refusal.value.__context__ is None, "boto's error would carry what was asked"
    assert key.unwrap(box, b"here") == PLAIN


def test_a_kms_that_cannot_be_reached_is_unavailable(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    key = KmsKey("arn:aws:kms:eu-south-1:111122223333:alias/aisuru-mistral")
    with pytest.raises(KeyringUnavailableError):
        key.wrap(PLAIN, b"here")


# ── What stands between a distant key and its callers ────────────────────────────────────────────


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_open_stays_open_for_seconds_and_nobody_asks_for_it_again(vault):
    clock = Clock()
    key = Distant(transit_key(vault), "v1", opened=10, pause=2, clock=clock)
    box = key.wrap(PLAIN, b"here")
    other = transit_key(vault).wrap(PLAIN, b"there")
    vault.asked.clear()
    with vault.feeling("sealed"):
        assert key.unwrap(box, b"here") == PLAIN, "calls under way go on"
        assert vault.asked == []
        with pytest.raises(KeyringUnavailableError):
            key.unwrap(other, b"there")
        with pytest.raises(KeyringUnavailableError):
            key.unwrap(other, b"there")
        assert vault.asked == ["decrypt"], "nobody waits for what just failed"
        clock.now += 10
        with pytest.raises(KeyringUnavailableError):
            key.unwrap(box, b"here")
    clock.now += 2
    assert key.unwrap(box, b"here") == PLAIN


def test_nobody_waits_for_a_service_that_just_failed_to_wrap_for_another(vault):
    clock = Clock()
    key = Distant(transit_key(vault), "v1", opened=10, pause=2, clock=clock)
    vault.asked.clear()
    with vault.feeling("sealed"):
        for _ in range(3):
            with pytest.raises(KeyringUnavailableError):
                key.wrap(PLAIN, b"here")
    with pytest.raises(KeyringUnavailableError):
        key.unwrap(b"whatever it is", b"here")
    assert vault.asked == ["encrypt"]
    clock.now += 2
    assert key.unwrap(key.wrap(PLAIN, b"here"), b"here") == PLAIN


def test_what_is_remembered_is_remembered_for_its_very_bytes_and_place(vault):
    key = Distant(transit_key(vault), "v1")
    box = key.wrap(PLAIN, b"here")
    for altered, place in (
        (box[:-1] + bytes([box[-1] ^ 1]), b"here"),
        (box, b"there"),
        (box[1:], b"her" + box[:1]),
    ):
        with pytest.raises(OpeningError):
            key.unwrap(altered, place)


def test_what_is_over_leaves_memory_although_nobody_asks_for_it(vault, monkeypatch):
    key = Distant(transit_key(vault), "v1", opened=0.02)
    key.wrap(PLAIN, b"here")
    for _ in range(200):
        if not key._plains:
            break
        time.sleep(0.02)
    assert key._plains == {}
    assert key._broom is None
