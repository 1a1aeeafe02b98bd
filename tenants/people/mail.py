"""Sends one letter to one address: the only place from which mail leaves.

A letter is plain text with one purpose. That it was not taken by the mail server is logged, never
told to whoever made us write it: it would tell strangers which addresses exist.
"""

import smtplib
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.core.mail import EmailMessage

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Letter:
    """What is said: a subject that says the fact, and paragraphs."""

    subject: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        """The body."""
        return "\n\n".join(self.paragraphs) + "\n"


def send(letter: Letter, *, to: str, purpose: str) -> bool:
    """Hand a letter to the mail server; False when it was not taken.

    Args:
        letter: what is said.
        to: the one address.
        purpose: names the letter in the log, which never holds its text or the address.
    """
    message = EmailMessage(letter.subject, letter.text, settings.DEFAULT_FROM_EMAIL, [to])
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        log.warning("mail_not_sent", purpose=purpose, error=type(error).__name__)
        return False
    log.info("mail_sent", purpose=purpose)
    return True
