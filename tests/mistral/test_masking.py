import json
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.common.secrets import Secret
from tenants.common.tokens import TokenKind, mint
from tenants.mistral.masking import MASK, is_plausible_key, mask_key_shaped

KEY = "QwErTyUiOpAsDfGhJkLzXcVbNm012345"
OTHER_KEY = "abcdefghijklmnopqrstuvwxyzABCD01"
REQUEST_ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"Invalid key {KEY}.", "Invalid key ****."),
        (f"key={OTHER_KEY}&x=1", "key=****&x=1"),
        ("Authorization: Bearer abc.def-ghi_0123456", "Authorization: ****"),
        (f'{{"message":"no: {KEY}","n":1}}', '{"message":"no: ****","n":1}'),
        (f'{{ "message" : "{KEY}" }}', '{"message":"****"}'),
        (f'{{"{KEY}": [["{OTHER_KEY}"]]}}', '{"****":[["****"]]}'),
        (f"data: {KEY}\n\n", "data: ****\n\n"),
        (f"…{KEY[:20]}…", "…****…"),
        (f"…{KEY[5:17]}…", "…****…"),
        (f'{{"a":"{KEY}","a":"twice"}}', '{"a":"twice"}'),
    ],
)
def test_a_quoted_key_is_masked_wherever_it_stands(text, masked):
    assert mask_key_shaped(text, secrets=[Secret(KEY)]) == masked
    assert mask_key_shaped(text.encode(), secrets=[Secret(KEY)]) == masked.encode()


@pytest.mark.parametrize("kind", list(TokenKind))
def test_our_own_tokens_are_masked(kind):
    token = mint(kind).reveal()

    assert mask_key_shaped(f"no model for {token}!") == "no model for ****!"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Unauthorized",
        f'{{"message": "Unauthorized",  "request_id": "{REQUEST_ID}"}}',
        '{"detail": [{"loc": ["body", "messages"], "msg": "Field required"}], "n": 1.50}',
        "Bearer authentication is needed",
        "Model ft:open-mistral-7b:my-suffix:20240430:d9a2e2a2 was not found.",
        "billing_customer_monthly_spending_limit_reached",
        "12345678901234567890123456789012",
        "aim_ing at nothing",
        '{"a": NaN, "b": [1e400, -0]}',
        "Perché no? 日本語のメッセージです",
    ],
)
def test_what_quotes_no_secret_comes_back_byte_for_byte(text):
    assert mask_key_shaped(text, secrets=[Secret(KEY)]) == text
    assert mask_key_shaped(text.encode(), secrets=[Secret(KEY)]) == text.encode()


def test_a_key_spelled_with_escapes_is_found():
    odd = 'a"b/c\\d+e&f=0123456789'
    bodies = [
        json.dumps({"m": odd}),
        json.dumps({"m": odd}).replace("/", "\\/"),
        '{"m":"' + "".join(f"\\u{ord(character):04x}" for character in odd) + '"}',
    ]

    for body in bodies:
        assert mask_key_shaped(body, secrets=[Secret(odd)]) == '{"m":"****"}'
    assert mask_key_shaped("?k=a%22b%2Fc%5Cd%2Be%26f%3D0123456789", secrets=[Secret(odd)]) == (
        "?k=****"
    )


def test_an_escape_before_a_long_word_does_not_break_the_json():
    body = json.dumps({"m": "line\n" + "A" * 31, "k": KEY})

    assert json.loads(mask_key_shaped(body)) == {"m": "line\n" + "A" * 31, "k": MASK}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_of_json_is_looked_through(encoding):
    body = json.dumps({"m": f"clé {KEY}"}, ensure_ascii=False).encode(encoding)

    masked = mask_key_shaped(body, secrets=[Secret(KEY)])

    assert json.loads(masked) == {"m": "clé ****"}


def test_bytes_of_no_encoding_at_all_are_kept_around_the_mask():
    assert mask_key_shaped(b"\xff\xfa\x80 " + KEY.encode() + b" \x00\xfe") == (
        b"\xff\xfa\x80 **** \x00\xfe"
    )


def test_json_that_cannot_be_looked_through_is_withheld_once_it_quotes_something():
    deep = "[" * 5000 + f'"{KEY}"' + "]" * 5000
    long_number = "[" + "9" * 5000 + f', "{KEY}"]'

    for body in (deep, long_number):
        assert mask_key_shaped(body) == '"****"'
        assert mask_key_shaped(body.replace(KEY, "ok")) == body.replace(KEY, "ok")


def test_a_secret_of_digits_is_not_left_standing_as_a_number():
    digits = "31415926535897932384626433832795"

    assert digits not in mask_key_shaped(f'{{"n": {digits}}}', secrets=[Secret(digits)])


@pytest.mark.parametrize(
    "unit", [KEY[:31] + " ", "Bearer ", "aim_mdl_", "a", "bearer\t\t\t\t", KEY, "[", '{"a":']
)
def test_masking_takes_linear_time(unit):
    def cpu_seconds(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        best = 60.0
        for _ in range(3):
            started = time.thread_time()
            mask_key_shaped(text, secrets=[Secret(KEY)])
            best = min(best, time.thread_time() - started)
        return best

    small, large = cpu_seconds(20_000), cpu_seconds(200_000)

    assert large < 40 * small + 0.05


alphanumerics = string.ascii_letters + string.digits
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=20, max_size=128)
pieces = st.text(max_size=20) | st.sampled_from(
    ["Bearer ", "\\", '"', "\n", "aim_mdl_0123456789abcdef", KEY, "{", "\\u00"]
)


@settings(deadline=None)  # the machine may be busy
@given(key=keys, before=pieces, after=pieces)
def test_a_given_secret_never_survives_in_text(key, before, after):
    masked = mask_key_shaped(f"{before}{key}{after}", secrets=[Secret(key)])

    assert key not in masked
    assert mask_key_shaped(masked, secrets=[Secret(key)]) == masked


def _texts(document):
    if isinstance(document, dict):
        return [text for pair in document.items() for part in pair for text in _texts(part)]
    if isinstance(document, list):
        return [text for part in document for text in _texts(part)]
    return [str(document)]


@settings(deadline=None)  # the machine may be busy
@given(key=keys, data=st.data())
def test_a_given_secret_never_survives_in_json_and_json_stays_json(key, data):
    texts = st.builds("".join, st.lists(pieces | st.just(key), max_size=4))
    document = data.draw(
        st.recursive(
            st.none() | st.integers() | texts,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
            max_leaves=6,
        )
    )
    body = json.dumps(document, ensure_ascii=data.draw(st.booleans())).encode(
        errors="backslashreplace"
    )

    masked = mask_key_shaped(body, secrets=[Secret(key)])

    assert key not in masked.decode()
    assert not any(key in text for text in _texts(json.loads(masked)))


@settings(deadline=None)  # the machine may be busy
@given(
    body=st.binary(),
    key=st.text(alphanumerics, min_size=32, max_size=32).filter(lambda text: not text.islower()),
)
def test_a_key_among_any_bytes_is_masked_and_the_rest_is_kept(body, key):
    quoted = b"\xff<" + body + b"|" + key.encode() + b">"

    masked = mask_key_shaped(quoted, secrets=[Secret(key)])

    assert key.encode() not in masked
    assert masked.startswith(b"\xff<")
    assert masked.endswith(b"|****>")


@settings(deadline=None)  # the machine may be busy
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=11),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=11), inner),
    )
)
def test_json_without_secrets_is_never_rewritten(document):
    body = json.dumps(document, indent=1).encode()

    assert mask_key_shaped(body, secrets=[Secret(KEY)]) == body


@pytest.mark.parametrize(
    ("text", "plausible"),
    [
        (KEY, True),
        ("x" * 20, True),
        ("x" * 128, True),
        ("x" * 19, False),
        ("x" * 129, False),
        (KEY + "\n", False),
        (KEY[:20] + " " + KEY[:5], False),
        ("é" * 32, False),
    ],
)
def test_a_plausible_key_has_20_to_128_visible_characters(text, plausible):
    assert is_plausible_key(text) is plausible
