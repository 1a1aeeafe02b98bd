"""A box opens in its place, with its key, unchanged; and in no other way."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.common.secrets import Secret
from tenants.vault import envelope
from tenants.vault.aead import AeadKey, OpeningError, UnknownKeyError, key_id_of
from tenants.vault.envelope import Place
from tests.vault.rings import ring_of

unhurried = settings(deadline=None)  # the machine may be busy
uuids = st.uuids()
places = st.builds(
    Place,
    organization=uuids,
    workspace=st.none() | uuids,
    row=uuids,
    slot=st.text(st.characters(codec="utf-8"), max_size=20),
    version=st.integers(1, 2**31),
)
plains = st.text(st.characters(codec="utf-8"), max_size=200)

ORGANIZATION = uuid4()
KEY_PLACE = Place(ORGANIZATION, None, uuid4(), "data-key", 1)
DATA_KEY = envelope.new_data_key(KEY_PLACE)
HOME = Place(ORGANIZATION, uuid4(), uuid4(), "mistral-key", 1)


def seal(plain: str = "HQSxGm3vTb8yLw5kZr2nXc7dJp4fUg6Y", place: Place = HOME) -> bytes:
    return envelope.seal(Secret(plain), data_key=DATA_KEY, data_key_place=KEY_PLACE, place=place)


def opened(box: bytes, place: Place = HOME, data_key=DATA_KEY, key_place=KEY_PLACE) -> str:
    return envelope.open_box(box, data_key=data_key, data_key_place=key_place, place=place).reveal()


@unhurried
@given(plain=plains, place=places)
def test_what_is_sealed_opens_in_its_place(plain, place):
    assert opened(seal(plain, place), place) == plain


@unhurried
@given(plain=st.text(st.characters(codec="ascii"), min_size=4, max_size=100))
def test_a_box_shows_nothing_of_its_contents_and_no_two_are_alike(plain):
    first, second = seal(plain), seal(plain)
    assert plain.encode() not in first
    assert first != second


@unhurried
@given(data=st.data())
def test_no_byte_of_a_box_can_be_changed(data):
    box = bytearray(seal())
    position = data.draw(st.integers(0, len(box) - 1))
    box[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(OpeningError):
        opened(bytes(box))


@unhurried
@given(data=st.data())
def test_no_byte_of_a_wrapped_data_key_can_be_changed(data):
    wrapped = bytearray(DATA_KEY)
    position = data.draw(st.integers(0, len(wrapped) - 1))
    wrapped[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(OpeningError):
        opened(seal(), data_key=bytes(wrapped))


@unhurried
@given(length=st.integers(0, len(seal()) - 1), tail=st.binary(min_size=1, max_size=40))
def test_a_box_cannot_be_cut_or_lengthened(length, tail):
    box = seal()
    for altered in (box[:length], box + tail):
        with pytest.raises(OpeningError):
            opened(altered)


@unhurried
@given(noise=st.binary(max_size=200))
def test_noise_opens_nowhere_and_raises_nothing_else(noise):
    with pytest.raises(OpeningError):
        opened(noise)
    with pytest.raises(OpeningError):
        opened(seal(), data_key=noise)


@pytest.mark.parametrize("field", ["organization", "workspace", "row", "slot", "version"])
@unhurried
@given(other=places)
def test_a_box_moved_in_any_respect_does_not_open(field, other):
    box = seal()
    elsewhere = replace(HOME, **{field: getattr(other, field)})
    if elsewhere == HOME:
        return
    with pytest.raises(OpeningError):
        opened(box, elsewhere)


@pytest.mark.parametrize("field", ["organization", "workspace", "row", "slot", "version"])
@unhurried
@given(other=places)
def test_a_data_key_moved_in_any_respect_opens_nothing(field, other):
    elsewhere = replace(KEY_PLACE, **{field: getattr(other, field)})
    if elsewhere == KEY_PLACE:
        return
    with pytest.raises(OpeningError):
        opened(seal(), key_place=elsewhere)


@unhurried
@given(one=places, other=places)
def test_two_places_are_never_written_alike(one, other):
    assert (one.associated() == other.associated()) == (one == other)


def test_fields_that_run_together_are_still_told_apart():
    base = Place(UUID(int=1), None, UUID(int=2), "slot1", 1)
    assert base.associated() != replace(base, slot="slot", version=11).associated()


def test_an_organizations_data_key_opens_no_box_of_another():
    other_place = replace(KEY_PLACE, organization=uuid4(), row=uuid4())
    other_key = envelope.new_data_key(other_place)
    with pytest.raises(OpeningError):
        opened(seal(), data_key=other_key, key_place=other_place)


def test_a_refusal_never_says_why():
    said = set()
    for box in (b"", b"noise" * 20, seal()[:-1], seal()):
        with pytest.raises(OpeningError) as refusal:
            opened(box, replace(HOME, version=2))
        said.add(str(refusal.value))
    assert said == {"the box does not open"}


KEYS = [AeadKey(name, bytes([number]) * 32) for number, name in enumerate(["new", "old"], 1)]


@unhurried
@given(plain=st.binary(max_size=64), associated=st.binary(max_size=64))
def test_the_newest_master_key_writes_and_every_one_on_the_ring_reads(plain, associated):
    new, old = KEYS
    before, after = ring_of(old), ring_of(new, old)
    boxed = before.wrap(Secret(plain), associated)
    assert after.unwrap(boxed, associated).reveal() == plain
    assert key_id_of(after.wrap(Secret(plain), associated)) == "new"
    with pytest.raises(UnknownKeyError):
        ring_of(new).unwrap(boxed, associated)


@unhurried
@given(associated=st.binary(max_size=32), other=st.binary(max_size=32))
def test_a_master_key_binds_to_the_associated_data(associated, other):
    ring = ring_of(KEYS[0])
    boxed = ring.wrap(Secret(b"data key"), associated)
    if associated == other:
        assert ring.unwrap(boxed, other).reveal() == b"data key"
    else:
        with pytest.raises(OpeningError):
            ring.unwrap(boxed, other)


def test_a_master_key_of_the_same_name_and_other_bytes_does_not_open():
    boxed = ring_of(KEYS[0]).wrap(Secret(b"data key"), b"")
    impostor = AeadKey("new", b"\x09" * 32)
    with pytest.raises(OpeningError):
        ring_of(impostor).unwrap(boxed, b"")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_master_key_has_256_bits(length):
    with pytest.raises(ValueError, match="32 bytes"):
        AeadKey("k", b"x" * length)


def test_keys_do_not_print():
    assert "\\x01" not in repr(KEYS[0])
    assert repr(KEYS[0]) == "AeadKey('new')"


@unhurried
@given(one=plains, other=plains)
def test_fingerprints_are_equal_for_equal_secrets_only(one, other):
    same = envelope.fingerprint(Secret(one)) == envelope.fingerprint(Secret(other))
    assert same == (one == other)
    assert len(envelope.fingerprint(Secret(one))) == 32


@pytest.mark.parametrize("box", [b"", b"\1", b"\1\0", b"\1\0a", b"\2\1a", b"\1\2a", b"\1\1\xff"])
def test_what_begins_like_no_box_names_no_key(box):
    with pytest.raises(OpeningError):
        key_id_of(box)


def test_a_box_names_its_key_and_no_more_of_itself():
    assert key_id_of(b"\1\2t1and the rest") == "t1"
    assert key_id_of(b"\1\2t1") == "t1"
