"""The one rule for text and addresses that people type: what is kept, what is refused.

Names are NFC, in one line, and hold no character that a reader cannot see: bidirectional controls
and zero-width ones make two names look alike, or a name read backwards. Addresses of e-mail are
lower-case ASCII, international domains in their A-form (RFC 5891), so that one mailbox has one
spelling and a look-alike from another script has another.
"""

import re
import unicodedata

import idna

LONGEST_EMAIL = 254
_LONGEST_LOCAL = 64
#: Joiners that emoji and several scripts need; all other format characters are invisible.
_JOINERS = frozenset("\u200c\u200d")
#: The tags that make flags of regions out of a black flag.
_TAGS = range(0xE0020, 0xE0080)
_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FEWEST_LABELS = 2


def is_hidden(character: str) -> bool:
    """Tell what has no place in one line of text: controls, separators, what is not seen."""
    category = unicodedata.category(character)
    if category == "Cf":
        return character not in _JOINERS and ord(character) not in _TAGS
    return category in {"Cc", "Cs", "Zl", "Zp"}


def normalise_email(text: str) -> str | None:
    """Bring an address of e-mail into its one spelling; None for what is none.

    The local part is lower-cased too: no provider of note tells mailboxes apart by case, and people
    do not either. Characters beyond ASCII are refused before the ``@`` and encoded after it.
    """
    local, at, domain = text.strip().rpartition("@")
    local = local.lower()
    if not at or not local.isascii() or len(local) > _LONGEST_LOCAL or not _LOCAL.fullmatch(local):
        return None
    host = normalise_domain(domain)
    if host is None or len(local) + len(host) + 1 > LONGEST_EMAIL:
        return None
    return f"{local}@{host}"


def normalise_domain(text: str) -> str | None:
    """Bring a domain into its A-form, lower-case and without a final dot; None for what is none."""
    if any(is_hidden(character) for character in text):
        return None
    try:
        host = idna.encode(text.strip(), uts46=True, std3_rules=True).decode().lower()
    except (idna.IDNAError, UnicodeError):
        return None
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(labels) < _FEWEST_LABELS or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return None if labels[-1].isdigit() else host


def normalise_name(text: str) -> str | None:
    """Bring a name into its one spelling: NFC, single spaces; None if it is empty or hides some."""
    name = unicodedata.normalize("NFC", " ".join(text.split()))
    return None if not name or any(is_hidden(character) for character in name) else name
