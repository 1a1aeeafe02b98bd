"""Refusals in the shape of Mistral's error object, so that both SDKs raise what they always raise.

Ours say ``"source": "gateway"``; Mistral's pass with their status, marked ``"source": "provider"``,
and with anything key-shaped masked. No refusal quotes the request.
"""

from http import HTTPStatus

import orjson

from tenants.common.problems import Problem, Unavailable
from tenants.common.secrets import Secret
from tenants.mistral.errors import ErrorClass, MistralError, Reach
from tenants.mistral.masking import mask_key_shaped

type Headers = list[tuple[bytes, bytes]]

JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")
#: Of a provider's error body; what is longer is no error object.
LARGEST_ERROR = 256 * 1024
_MISSING = "resource_not_found"
_GATEWAY, _PROVIDER = "gateway", "provider"


def ours(problem: Problem, request_id: str) -> tuple[int, Headers, bytes]:
    """Write a refusal of ours: status, headers, body."""
    document = {
        "object": "error",
        "message": problem.detail,
        "type": problem.code,
        "param": _param(problem),
        "code": problem.code,
        "source": _GATEWAY,
        "request_id": request_id,
        **problem.members,
    }
    if problem.code == _MISSING:
        document["detail"] = problem.detail  # as Mistral says it of what is not there
    headers: Headers = [JSON]
    if problem.retry_after is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return problem.status, headers, orjson.dumps(document)


def theirs(status: int, body: bytes, key: Secret[str]) -> bytes:
    """Mark a refusal of Mistral's and mask what it may quote; wrap what is no object in one."""
    masked = mask_key_shaped(body, secrets=(key,))
    try:
        document = orjson.loads(masked)
    except orjson.JSONDecodeError:
        document = masked.decode("utf-8", "replace")
    if isinstance(document, dict):
        return orjson.dumps({**document, "source": _PROVIDER})
    known = status in HTTPStatus._value2member_map_
    text = document if isinstance(document, str) and document else None
    wrapped = {
        "object": "error",
        "message": text or (HTTPStatus(status).phrase if known else "Error"),
        "type": "provider_error",
        "param": None,
        "code": None,
        "raw_status_code": status,
        "source": _PROVIDER,
    }
    return orjson.dumps(wrapped)


def unanswered(error: MistralError) -> Problem:
    """Say that Mistral gave no answer that could be handed on."""
    failure = error.failure
    if failure.error_class is ErrorClass.KEY_INVALID and failure.http_status is None:
        return Problem(
            "model_blocked",
            "The API key behind this model cannot be sent to Mistral. Replace its secret.",
            status=409,
            reason="key_invalid",
        )
    if failure.reach is Reach.NEVER:
        return Problem(
            "mistral_unreachable",
            "Mistral could not be reached; the call was not made and costs nothing. Try again.",
            status=502,
            retry_after=1,
        )
    return Problem(
        "mistral_broke_off",
        "Mistral's answer did not arrive whole; the call may cost. Try again.",
        status=502,
        retry_after=1,
    )


def unkept() -> Problem:
    """Say that Mistral answered, and that its answer cannot be used because of a fault of ours."""
    return Unavailable(
        "metering_unavailable",
        "Mistral has answered, and the call may cost, but the service cannot write down what was"
        " made, so that it could not be used. Another call is made, and paid, anew.",
        retry_after=1,
    )


def timed_out() -> Problem:
    """Say that Mistral took too long."""
    return Problem(
        "mistral_timeout",
        "Mistral did not answer in the time that this model allows; the call may cost.",
        status=504,
    )


def _param(problem: Problem) -> str | None:
    """Name the member that is wrong, as Mistral's ``param`` does."""
    return problem.errors[0].pointer.lstrip("/") if problem.errors else None
