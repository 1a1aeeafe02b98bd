"""Every sentence for people exists in Italian: none missing, none fuzzy, none out of date."""

import re
from io import BytesIO
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tenants" / "locale" / "it" / "LC_MESSAGES"
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
}


def catalogue():
    with (FOLDER / "django.po").open("rb") as file:
        return read_po(file, locale="it")


def sentences() -> set[str]:
    methods = [("**.py", "python"), ("**/templates/**.html", "aisuru_mistral.messages:sentences")]
    found = extract_from_dir(ROOT / "tenants", method_map=methods, keywords=KEYWORDS)
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


def texts(messages) -> set[str]:
    return {
        f"{message.id!r:}{message.string!r}".replace("[", "(").replace("]", ")")
        for message in messages
        if message.id
    }


def test_every_sentence_has_a_finished_italian_translation():
    italian = {message.id: message for message in catalogue() if message.id}
    known = {key if isinstance(key, str) else key[0]: value for key, value in italian.items()}
    assert sorted(sentences() - set(known)) == []
    unfinished = [key for key, message in known.items() if message.fuzzy or not message.string]
    assert unfinished == []


def test_no_translation_outlives_its_sentence():
    known = {m.id if isinstance(m.id, str) else m.id[0] for m in catalogue() if m.id}
    assert sorted(known - sentences()) == []


def test_placeholders_survive_translation():
    italian = catalogue()
    for message in italian:
        if message.id and isinstance(message.id, str):
            assert list(message.check(italian)) == [], message.id


def test_the_compiled_catalogue_is_the_written_one():
    compiled = read_mo(BytesIO((FOLDER / "django.mo").read_bytes()))
    assert texts(compiled) == texts(catalogue())


def test_italian_is_written_with_one_apostrophe_and_one_kind_of_quotes():
    said = [
        text
        for message in catalogue()
        if message.id
        for text in ([message.string] if isinstance(message.string, str) else message.string)
    ]
    others = re.compile("[\u2018\u2019\u201c\u201d\u201e]")
    assert [text for text in said if others.search(text)] == []
