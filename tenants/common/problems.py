"""Problem: a refusal or failure with a code, a cause and a next step (RFC 9457).

Every door turns it into its own shape: ``application/problem+json`` in ``api/``, Mistral's error
object in ``gateway/``.

    Problem
    ├── Invalid            400/422  fix the request; carries field errors
    ├── Unauthenticated    401      say who you are
    ├── Forbidden          403      get the right
    ├── NotFound           404      not there, or not yours
    ├── Conflict           409      the state does not allow it
    ├── Payment            402      pay, raise the limit, or wait
    ├── TooMany            429      wait ``retry_after`` seconds
    └── Unavailable        502/503/504  try again
"""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one member of a request; ``pointer`` is a JSON pointer (RFC 6901)."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):  # noqa: N818 - the term of RFC 9457
    """A refusal or failure that may be told to the caller as it is.

    Args:
        code: stable identifier, documented in docs/problems.md.
        detail: what happened and what to do next, in the reader's language.
        title: short name; the status's own name when absent.
        status: HTTP status; the class's own when absent.
        errors: one entry per member of the request that is wrong.
        retry_after: seconds to wait, for 429 and 503.
        members: further members of the problem object; never secret.
    """

    default_status: ClassVar[int] = 500

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        title: str | None = None,
        status: int | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after: int | None = None,
        **members: Any,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.title = title
        self.status = status or self.default_status
        self.errors = errors
        self.retry_after = retry_after
        self.members = members


class Invalid(Problem):
    """The request cannot be understood or breaks a rule."""

    default_status = 422

    @classmethod
    def field(cls, pointer: str, code: str, detail: str, **members: Any) -> "Invalid":
        """Refuse one member of the request."""
        return cls(code, detail, errors=(FieldError(pointer, code, detail),), **members)


class Unauthenticated(Problem):
    """No token, or one that is not ours, revoked or expired."""

    default_status = 401


class Forbidden(Problem):
    """Known, but without the right."""

    default_status = 403


class NotFound(Problem):
    """Not there, or somebody else's: the two are never told apart."""

    default_status = 404


class Conflict(Problem):
    """The present state does not allow it."""

    default_status = 409


class Payment(Problem):
    """A spending limit stands in the way."""

    default_status = 402


class TooMany(Problem):
    """Too often; ``retry_after`` says when to come back."""

    default_status = 429


class Unavailable(Problem):
    """Something behind us does not answer; nothing was done, try again."""

    default_status = 503
