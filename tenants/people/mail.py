"""Sends one letter to one address: the only place from which mail leaves.

A letter has one purpose and one button at most, and says the same in plain text and in HTML. That
it was not taken by the mail server is logged, never told to whoever made us write it: it would tell
strangers which addresses exist.
"""

import email.policy
import smtplib
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.translation import get_language

log = structlog.get_logger(__name__)

#: RFC 5322, without the line's end.
_LONGEST_LINE = 998


@dataclass(frozen=True)
class Button:
    """The one thing to do next, and where."""

    label: str
    link: str


@dataclass(frozen=True)
class Letter:
    """What is said.

    Attributes:
        subject: says the fact.
        paragraphs: what happened, what it means, what to do next.
        button: leads to where it is done.
        facts: names and values, one a line.
        small: why one gets it, and what else there is to know.
        language: of all of it.
        unsubscribe: leads to where one asks for no more of these, where that is possible; it takes
            a POST without a login, as RFC 8058 has it.
    """

    subject: str
    paragraphs: tuple[str, ...]
    button: Button | None = None
    facts: tuple[tuple[str, str], ...] = ()
    small: tuple[str, ...] = ()
    language: str = ""
    unsubscribe: Button | None = None

    @property
    def text(self) -> str:
        """The body in plain text."""
        return render_to_string("people/letter.txt", {"letter": self}).strip() + "\n"

    @property
    def html(self) -> str:
        """The body in HTML."""
        facts = {"letter": self, "language": self.language or get_language()}
        return render_to_string("people/letter.html", facts)


class _Message(EmailMultiAlternatives):
    """Keeps long addresses in headers whole: folded, they would be encoded, which nobody reads."""

    def message(self, *, policy: Any = email.policy.default) -> Any:
        return super().message(policy=policy.clone(max_line_length=_LONGEST_LINE))


def send(letter: Letter, *, to: str, purpose: str, message_id: str = "") -> bool:
    """Hand a letter to the mail server; False when it was not taken.

    Args:
        letter: what is said.
        to: the one address.
        purpose: names the letter in the log, which never holds its text or the address.
        message_id: the same for the same letter, so that one that is sent twice can be told.
    """
    headers = {"Auto-Submitted": "auto-generated"}
    if message_id:
        domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">")
        headers["Message-ID"] = f"<{message_id}@{domain}>"
    if letter.unsubscribe is not None:
        headers["List-Unsubscribe"] = f"<{letter.unsubscribe.link}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    subject = " ".join(letter.subject.split())
    message = _Message(subject, letter.text, settings.DEFAULT_FROM_EMAIL, [to], headers=headers)
    message.attach_alternative(letter.html, "text/html")
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        log.warning("mail_not_sent", purpose=purpose, error=type(error).__name__)
        return False
    log.info("mail_sent", purpose=purpose)
    return True
