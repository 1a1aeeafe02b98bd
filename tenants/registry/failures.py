"""Why a model could not be published in AIsuru: codes, what happened, and what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from tenants.aisuru.errors import AisuruError, AisuruLoginError, AisuruRefusedError, ResultCode


@unique
class Failure(StrEnum):
    """What stands in the way."""

    NOT_CONFIGURED = "aisuru_not_configured"
    CONNECTION_MISSING = "aisuru_connection_missing"
    CONNECTION_UNDECRYPTABLE = "aisuru_connection_undecryptable"
    LOGIN_REFUSED = "aisuru_login_refused"
    NAME_TAKEN = "aisuru_name_taken"
    NAME_REFUSED = "aisuru_name_refused"
    NOT_PERMITTED = "aisuru_not_permitted"
    ADDRESS_REFUSED = "aisuru_address_refused"
    REFUSED = "aisuru_refused"
    AWAY = "aisuru_away"


#: What another login token may mend.
OF_THE_LOGIN = frozenset(
    {Failure.CONNECTION_MISSING, Failure.CONNECTION_UNDECRYPTABLE, Failure.LOGIN_REFUSED}
)

_BY_RESULT: Mapping[int, Failure] = {
    ResultCode.CONFIG_NAME_ALREADY_EXISTS: Failure.NAME_TAKEN,
    ResultCode.CONFIG_INVALID_NAME: Failure.NAME_REFUSED,
    ResultCode.CONFIG_NAME_RESERVED: Failure.NAME_REFUSED,
    ResultCode.CONFIG_MISSING_MANDATORY_PREFIX: Failure.NAME_REFUSED,
    ResultCode.CONFIG_NOT_ACCESSIBLE: Failure.NOT_PERMITTED,
    ResultCode.CONFIG_VISIBILITY_NOT_PERMITTED: Failure.NOT_PERMITTED,
    ResultCode.CONFIG_USE_AS_DEFAULT_NOT_PERMITTED: Failure.NOT_PERMITTED,
    ResultCode.CONFIG_INVALID_ENDPOINT: Failure.ADDRESS_REFUSED,
}


@dataclass(frozen=True, slots=True)
class Explained:
    """A failure for people."""

    cause: str
    next_step: str


_WORDS: Mapping[Failure, tuple[str, str]] = {
    Failure.NOT_CONFIGURED: (
        _("This service was not told where AIsuru's backend is."),
        _("Ask the operator to set AISURU_API_URL."),
    ),
    Failure.CONNECTION_MISSING: (
        _("The organization has no login at AIsuru."),
        _("Enter a login token of AIsuru in the organization's connection."),
    ),
    Failure.CONNECTION_UNDECRYPTABLE: (
        _("The stored login token of AIsuru does not open."),
        _("Enter it once more."),
    ),
    Failure.LOGIN_REFUSED: (
        _("AIsuru does not accept the login token: it is over, unknown, or may not do this."),
        _("Sign in to AIsuru again and enter the new token: the model follows by itself."),
    ),
    Failure.NAME_TAKEN: (
        _("AIsuru has a configuration of this name already, and it was not made from here."),
        _(
            "Rename the model, or the configuration over there; or publish once more and say that"
            " the existing one is to be taken over."
        ),
    ),
    Failure.NAME_REFUSED: (
        _("AIsuru does not allow this name: it is reserved, or lacks the prefix that it wants."),
        _("Rename the model: it is pushed again by itself."),
    ),
    Failure.NOT_PERMITTED: (
        _("The login at AIsuru may not make or change such a configuration."),
        _(
            "Use the login of an administrator of the tenant, or take visibility and default away"
            " from the model."
        ),
    ),
    Failure.ADDRESS_REFUSED: (
        _("AIsuru does not accept the address of this gateway."),
        _("Ask the operator whether PUBLIC_URL is an address that AIsuru can reach."),
    ),
    Failure.REFUSED: (
        _("AIsuru refused it; its result code stands beside this."),
        _("Look the code up at AIsuru, mend what it names, and publish again."),
    ),
    Failure.AWAY: (
        _("AIsuru does not answer, or not as it should."),
        _("Nothing: it is tried again by itself, less and less often."),
    ),
}


def of(error: AisuruError) -> Failure:
    """Tell what an answer of AIsuru's means for who publishes."""
    if isinstance(error, AisuruLoginError):
        return Failure.LOGIN_REFUSED
    if isinstance(error, AisuruRefusedError):
        return _BY_RESULT.get(error.result_code or 0, Failure.REFUSED)
    return Failure.AWAY


def explain(failure: Failure) -> Explained:
    """Say in the reader's language what happened, and what to do next."""
    cause, next_step = _WORDS[failure]
    return Explained(gettext(cause), gettext(next_step))
