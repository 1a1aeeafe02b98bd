"""What was leaked is found, however the stream is cut; what was not is never claimed."""

import base64
import json
import random
import string
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from tenants.common.models import new_id
from tenants.common.secrets import Secret
from tenants.common.tokens import TokenKind, mint
from tenants.keys import custody, leaks, services
from tenants.keys.leaks import KnownKeys, Leak, Matcher, Owner, scan
from tests.factories import ACTOR
from tests.keys.keyring import registered
from tests.postgres import service_environment

ROOT = Path(__file__).resolve().parents[2]
ALPHABET = string.ascii_letters + string.digits
KEYS = [
    "HQSxGm3vTb8yLw5kZr2nXc7dJp4fUg6Y",
    "00000000000000000000000000000000",
    "abcdefabcdefabcdefabcdefabcdefab",
]
OWNERS = [Owner(new_id(), new_id(), "valid") for _ in KEYS]
TOKENS = [mint(kind).reveal() for kind in TokenKind]


def known_keys() -> KnownKeys:
    known = KnownKeys()
    for plain, owner in zip(KEYS, OWNERS, strict=True):
        known.add(custody.fingerprint(Secret(plain)), plain[-4:], owner)
    return known


KNOWN = known_keys()


def found(*pieces: bytes, known: KnownKeys = KNOWN) -> list[Leak]:
    return list(scan(pieces, known))


noise = st.binary(max_size=80) | st.text("abc09 _-\n", max_size=80).map(str.encode)
secrets = st.sampled_from([*KEYS, *TOKENS]).map(str.encode)
streams = st.lists(noise | secrets, max_size=8).map(b"".join)


@given(stream=streams, cuts=st.lists(st.integers(0, 700), max_size=12))
def test_the_findings_do_not_depend_on_where_the_stream_is_cut(stream, cuts):
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:stop] for start, stop in pairwise(edges)]
    whole = sorted(found(stream), key=str)
    assert sorted(found(*pieces), key=str) == whole
    assert sorted(found(*(bytes([octet]) for octet in stream)), key=str) == whole


@given(before=noise, after=noise, index=st.integers(0, len(KEYS) - 1))
def test_a_key_is_found_whatever_stands_around_it(before, after, index):
    stream = before + KEYS[index].encode() + after
    leak = Leak(
        "mistral_key",
        KEYS[index][-4:],
        1 + before.replace(b"\0", b"").count(b"\n"),
        OWNERS[index],
    )
    assert leak in found(stream)


@given(before=noise, after=noise, token=st.sampled_from(TOKENS))
def test_a_token_is_found_whatever_stands_around_it(before, after, token):
    kinds = [leak.kind for leak in found(before + token.encode() + after, known=KnownKeys())]
    assert kinds == [token.split("_")[1]]


@given(seed=st.integers(0, 10_000))
def test_random_text_is_never_taken_for_a_secret(seed):
    generator = random.Random(seed)
    text = "".join(generator.choices(ALPHABET + "_ \n", k=3_000)).encode()
    blob = base64.b64encode(generator.randbytes(3_000)) + generator.randbytes(3_000)
    assert found(text, generator.randbytes(500).hex().encode(), blob) == []


def test_every_window_of_a_longer_run_is_looked_at():
    stream = ("x" * 40 + KEYS[0] + "y" * 40 + KEYS[0]).encode()
    assert [leak.owner for leak in found(stream)] == [OWNERS[0], OWNERS[0]]
    assert len(found(b"0" * 34)) == 3, "windows may overlap"


def test_a_key_in_utf_16_and_in_the_middle_of_a_binary_file_is_found():
    for stream in (
        KEYS[0].encode("utf-16-le"),
        "chiave: ".encode("utf-16") + KEYS[0].encode("utf-16-be"),
        bytes(range(128, 256)) * 9 + KEYS[0].encode() + b"\xff\xfe",
    ):
        assert [leak.last4 for leak in found(stream)] == [KEYS[0][-4:]]


@given(token=st.sampled_from(TOKENS), position=st.integers(9, 40))
def test_a_token_with_one_character_changed_is_no_token(token, position):
    other = "A" if token[position] != "A" else "B"
    assert found((token[:position] + other + token[position + 1 :]).encode()) == []
    assert found(token[:-1].encode()) == []


def test_a_key_that_several_organizations_have_is_told_of_each():
    known = known_keys()
    other = Owner(new_id(), new_id(), "revoked")
    known.add(custody.fingerprint(Secret(KEYS[0])), KEYS[0][-4:], other)
    assert [leak.owner for leak in found(KEYS[0].encode(), known=known)] == [OWNERS[0], other]


def test_lines_are_counted_from_one_over_pieces():
    matcher = Matcher(KNOWN)
    assert matcher.feed(b"\n" * 5_000 + KEYS[0][:10].encode()) == []
    (leak,) = matcher.feed(KEYS[0][10:].encode() + b"\n")
    assert leak.line == 5_001


def test_a_finding_never_holds_the_secret():
    for leak in found(*(secret.encode() + b"\n" for secret in [*KEYS, *TOKENS])):
        text = repr(leak)
        assert not any(secret in text for secret in [*KEYS, *TOKENS])


def run(*paths: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "manage.py", "scan_leaks", *map(str, paths)],
        cwd=ROOT,
        env=service_environment(),
        capture_output=True,
        check=False,
    )


def test_the_command_finds_what_is_registered_waiting_or_deleted(workspace, made_up, tmp_path):
    kept, deleted, waiting, unknown = (made_up() for _ in range(4))
    key = registered(workspace, kept)
    gone = registered(workspace, deleted)
    services.delete_key(actor=ACTOR, key=gone)
    services.replace_secret(actor=ACTOR, key=key, plain=Secret(waiting), grace_seconds=600)
    token = TOKENS[0]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text(f"first\nkey={kept};{deleted}\n{unknown}\n")
    (tmp_path / "b.bin").write_bytes(b"\xff" * 70_000 + f'"{waiting}" {token}'.encode())
    (tmp_path / f"A{kept}.txt").write_text("a name is a leak too")
    (tmp_path / "link").symlink_to("/etc/passwd")

    result = run(tmp_path)

    assert result.returncode == 1
    for secret in (kept, deleted, waiting, unknown, token):
        assert secret.encode() not in result.stdout + result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["kind"], one["last4"], one["line"]) for one in told] == [
        ("mistral_key", kept[-4:], None),
        ("mistral_key", waiting[-4:], 1),
        ("plat", token[-4:], 1),
        ("mistral_key", kept[-4:], 2),
        ("mistral_key", deleted[-4:], 2),
    ]
    owner = told[3]
    assert (owner["key_id"], owner["status"]) == (str(key.pk), "pending")
    assert owner["organization_id"] == str(workspace.organization_id)
    assert (told[4]["key_id"], told[4]["status"]) == (str(gone.pk), "revoked")
    assert owner["file"] == str(tmp_path / "notes" / "a.txt")


def status_of(*words: object) -> object:
    try:
        call_command("scan_leaks", *map(str, words))
    except SystemExit as leaving:
        return leaving.code
    return 0


def test_the_command_leaves_with_a_status_that_says_what_happened(
    workspace, made_up, tmp_path, monkeypatch, capsys
):
    plain = made_up()
    registered(workspace, plain)
    clean = tmp_path / "clean.txt"
    clean.write_text("nothing here")
    assert status_of(clean) == 0
    given = tmp_path / "given.txt"
    given.write_text(plain)
    with given.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert status_of("-") == 1
        stdin.seek(0)
        assert status_of("-", "--tokens-only") == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert status_of(clean, tmp_path / "missing") == 2
    assert capsys.readouterr().out == ""


def test_the_fingerprints_of_all_organizations_are_known(workspace, stranger, made_up):
    plain = made_up()
    key = registered(workspace, plain)
    known = leaks.load_known()
    (leak,) = scan([plain.encode()], known)
    assert leak.owner is not None
    assert leak.owner.key_id == key.pk
