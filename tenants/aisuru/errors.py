"""What can go wrong between us and AIsuru, and what its result codes mean.

AIsuru answers with a ``resultCode``, 0 for success. The numbers are those of AIsuru's public React
client (memori-react, ``src/helpers/error.ts``); one that is not listed here is a refusal like any
other. What AIsuru writes beside it (``resultMessage``) is never kept: it may quote the address, and
with it the login token.

    AisuruError
    ├── AisuruAwayError       no usable answer; worth another try
    └── AisuruRefusedError    it answered, and not with what was asked for
        ├── AisuruLoginError     the login token is unknown, over, or may not do this
        └── AisuruMissingError   there is no such configuration
"""

from enum import IntEnum, unique


@unique
class ResultCode(IntEnum):
    """Result codes that something here depends on."""

    OK = 0
    SESSION_NOT_FOUND = -101
    SESSION_IS_NOT_ADMINISTRATIVE = -102
    SESSION_EXPIRED = -103
    CONFIG_NO_PURPOSE = -2406
    CONFIG_INVALID_NAME = -2407
    CONFIG_INVALID_ENDPOINT = -2412
    CONFIG_INVALID_PROVIDER = -2414
    CONFIG_NOT_FOUND = -2421
    CONFIG_NOT_ACCESSIBLE = -2422
    CONFIG_NAME_RESERVED = -2441
    CONFIG_NAME_ALREADY_EXISTS = -2442
    CONFIG_MISSING_MANDATORY_PREFIX = -2444
    CONFIG_VISIBILITY_NOT_PERMITTED = -2445
    CONFIG_USE_AS_DEFAULT_NOT_PERMITTED = -2446
    CONFIG_USE_AS_DEFAULT_REQUIRES_TENANT_VISIBILITY = -2447


class AisuruError(Exception):
    """Something went wrong between us and AIsuru; it never holds the address.

    Attributes:
        status: HTTP's, 0 when there was no answer.
        result_code: AIsuru's, None when there was none.
    """

    def __init__(self, what: str, *, status: int = 0, result_code: int | None = None) -> None:
        super().__init__(what)
        self.status = status
        self.result_code = result_code


class AisuruAwayError(AisuruError):
    """AIsuru gave no usable answer; what was asked for may or may not have happened."""

    def __init__(self, what: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(what, status=status)
        self.retry_after = retry_after


class AisuruRefusedError(AisuruError):
    """AIsuru answered, and not with what was asked for: nothing happened over there."""


class AisuruLoginError(AisuruRefusedError):
    """The login token is unknown, over, or may not do this."""


class AisuruMissingError(AisuruRefusedError):
    """There is no such configuration."""


_LOGIN = frozenset(
    {
        ResultCode.SESSION_NOT_FOUND,
        ResultCode.SESSION_IS_NOT_ADMINISTRATIVE,
        ResultCode.SESSION_EXPIRED,
    }
)
_LOGIN_STATUSES = frozenset({401, 403})
_NOT_FOUND = 404
_SERVER_FAULT = 500
_BUSY = frozenset({408, 425, 429})


def judge(
    status: int, result_code: int | None, retry_after: float | None = None
) -> AisuruError | None:
    """Tell what an answer means; None for a success.

    AIsuru tells refusals by its result code, mostly; the status counts where there is none, and
    where it says more. A result code beside a server's fault is a refusal: somebody thought.

    Args:
        status: HTTP's.
        result_code: AIsuru's; None when the body has none.
        retry_after: seconds, if the answer named them.
    """
    has_refused = result_code not in {None, ResultCode.OK}
    if status in _BUSY or (status >= _SERVER_FAULT and not has_refused):
        return AisuruAwayError(f"status {status}", status=status, retry_after=retry_after)
    if status < 300 and not has_refused:  # noqa: PLR2004 - a success
        return None
    kind = AisuruRefusedError
    if result_code in _LOGIN or (not has_refused and status in _LOGIN_STATUSES):
        kind = AisuruLoginError
    elif result_code == ResultCode.CONFIG_NOT_FOUND or (not has_refused and status == _NOT_FOUND):
        kind = AisuruMissingError
    what = f"status {status}, result code {'none' if result_code is None else result_code}"
    return kind(what, status=status, result_code=result_code)
