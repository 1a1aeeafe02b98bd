"""What a call used: Mistral's figures where there are some, else an estimate and its reason.

Absent, zero and positive usage are three things: zero is believed only if nothing was delivered.
An estimate is at most what was held for the call, but for the output of a request without a cap:
that is what was seen of it, and what of it was not held is excess, as with Mistral's own figures.
Recordings are estimated at what they last by their headers, though more had to be held.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tenants.gateway.digging import NEAR, dig, own_model
from tenants.gateway.endpoints import Kind
from tenants.gateway.requests import Request
from tenants.gateway.weighing import LIGHT
from tenants.mistral.delivered import TOKEN, tokens_of, weigh, weigh_delivered
from tenants.mistral.errors import WireError
from tenants.mistral.told import read_told
from tenants.mistral.wire import Quantity, Usage, read_json
from tenants.spend.calls import Estimate, Outcome
from tenants.spend.pricing import Quantities, longest_output, with_untold

_LARGEST_COUNT = 2**31 - 1
_NO_USAGE = Usage()
#: Kinds whose answers tell nothing of a call's use: sound, and things that cost nothing.
_SILENT = frozenset({Kind.SPEECH, Kind.COUNT, Kind.PLACE, Kind.DOWNLOAD, Kind.BATCH})


@dataclass(slots=True)
class Observation:
    """What is known of a call when it ends.

    Attributes:
        usage: as Mistral told it.
        delivered: what the model has produced, in thirds of a token, as far as it was seen; of OCR
            its pages.
        pages: that Mistral says it has read.
        doubt: why the quantities would be an estimate, should usage be missing.
        is_unseen: nothing in the answer tells how much it was; Mistral may have billed all of it.
    """

    outcome: Outcome = Outcome.FAILED
    http_status: int | None = None
    correlation_id: str = ""
    model: str | None = None
    usage: Usage = _NO_USAGE
    delivered: int = 0
    pages: int | None = None
    doubt: Estimate = Estimate.BROKEN_ANSWER
    is_unseen: bool = False


type Used = tuple[Quantities, Estimate]


def used(request: Request, seen: Observation, most: Quantities) -> Used:
    """Tell what a call used that may have used ``most``."""
    return _METERS[request.endpoint.kind](request, seen, most)


def note(kind: Kind, body: bytes, seen: Observation) -> None:
    """Note what a whole answer tells; of one that tells no usage, how much it delivered.

    It may happen in a thread, whose caller may give up: until all is noted, the answer is unseen.
    """
    if kind in _SILENT or (len(body) > LIGHT and _dug(kind, body, seen)):
        seen.is_unseen = False
        return
    try:
        document = read_json(body)
    except WireError:
        document = None
    if not isinstance(document, dict):
        seen.delivered = len(body)
        seen.is_unseen = kind is Kind.OCR  # bytes do not tell of pages
        return
    seen.model = _model(document)
    if kind is Kind.OCR:
        seen.pages = _pages(document)
        listed = document.get("pages")
        seen.delivered = len(listed) if isinstance(listed, list) else 0
        seen.is_unseen = seen.pages is None and not isinstance(listed, list)
        return
    seen.usage = read_told(document.get("usage"))
    if not seen.usage.is_enough:
        seen.delivered = weigh_delivered(document)
    seen.is_unseen = False


def _dug(kind: Kind, body: bytes, seen: Observation) -> bool:
    """Note what a long answer tells near its begin and its end, if that is all that is needed."""
    near = body[-NEAR:]
    seen.model = own_model(body)
    if kind is Kind.OCR:
        seen.pages = _pages({"usage_info": dig(near, b'"usage_info"', {1})})
        is_enough = bool(seen.pages)
    else:
        seen.usage = read_told(dig(near, b'"usage"', {1}))
        is_enough = seen.usage.is_enough
    return is_enough and seen.model is not None


def _tokens(request: Request, seen: Observation, most: Quantities) -> Used:
    usage, told = seen.usage, seen.usage.quantity
    if told is Quantity.POSITIVE or (told is Quantity.ZERO and not seen.delivered):
        # What connectors bring in is read by the model like everything else.
        read = (usage.prompt_tokens or 0) + (usage.connector_tokens or 0)
        if not request.bound.generates:
            read += usage.untold  # there is nothing else that it could be
        prompt = min(read, _LARGEST_COUNT)
        seconds = usage.prompt_audio_seconds
        lacks_seconds = seconds is None and request.bound.audio_seconds > 0
        parts = Quantities(
            prompt_tokens=prompt,
            completion_tokens=min(usage.completion_tokens or 0, _LARGEST_COUNT),
            cached_tokens=min(usage.cached_tokens or 0, prompt),
            audio_seconds=_lasting(request, most)
            if lacks_seconds
            else min(seconds or 0, _LARGEST_COUNT),
        )
        if usage.lacks_prompt or (usage.lacks_output and request.bound.generates):
            return _completed(parts, request, seen, most), seen.doubt
        # Of a request with a recording it is the sound, whose seconds are billed.
        if usage.untold and request.bound.generates and not request.bound.audio_seconds:
            return with_untold(parts, usage.untold, most), seen.doubt
        return parts, seen.doubt if lacks_seconds else Estimate.EXACT
    if told is Quantity.ABSENT and usage.total_tokens:
        return _shared_out(usage.total_tokens, request, seen, most)
    if seen.is_unseen:
        return most, seen.doubt
    prompt = _asked(request, most.prompt_tokens)
    completion = min(longest_output(request.bound), tokens_of(seen.delivered))
    return _estimated(request, most, prompt, completion), seen.doubt


def _estimated(request: Request, most: Quantities, prompt: int, completion: int) -> Quantities:
    """Estimate a call whose seconds nothing tells: they are what its recordings last."""
    return replace(
        most,
        prompt_tokens=prompt,
        completion_tokens=completion,
        audio_seconds=_lasting(request, most),
    )


def _lasting(request: Request, most: Quantities) -> int:
    """Tell how many seconds the recordings of a request last by their headers."""
    return max(most.audio_seconds - request.bound.spare_seconds, 0)


def _completed(
    told: Quantities, request: Request, seen: Observation, most: Quantities
) -> Quantities:
    """Estimate the one of input and output of which nothing tells."""
    prompt, completion = told.prompt_tokens, told.completion_tokens
    if seen.usage.lacks_prompt:
        prompt = min(prompt + _asked(request, most.prompt_tokens), _LARGEST_COUNT)
    if seen.usage.lacks_output:
        completion = min(longest_output(request.bound), tokens_of(seen.delivered))
    return replace(told, prompt_tokens=prompt, completion_tokens=completion)


def _asked(request: Request, most: int) -> int:
    """Estimate the input, from no more of the body than could be ``most``."""
    if request.bound.unbounded_input or not isinstance(request.body, bytes):
        return most
    return min(most, tokens_of(weigh(request.body[: most * TOKEN])))


def _shared_out(total: int, request: Request, seen: Observation, most: Quantities) -> Used:
    """Make input and output of a total that is told alone; the more it can be, the more output."""
    if not request.bound.generates:
        return Quantities(prompt_tokens=min(total, _LARGEST_COUNT)), Estimate.EXACT
    wrote = max(tokens_of(seen.delivered), total - most.prompt_tokens)
    completion = min(wrote, total, longest_output(request.bound))
    prompt = min(total - completion, most.prompt_tokens)
    return _estimated(request, most, prompt, completion), seen.doubt


def _read_pages(request: Request, seen: Observation, most: Quantities) -> Used:
    if seen.is_unseen:
        return most, seen.doubt
    pages, doubt = seen.pages, Estimate.EXACT
    if pages is None or (pages == 0 and seen.delivered):
        pages, doubt = seen.delivered, seen.doubt
    pages = min(pages, _LARGEST_COUNT)
    if request.bound.annotated_pages:
        return Quantities(annotated_pages=pages), doubt
    return Quantities(pages=pages), doubt


def _spoken(_request: Request, seen: Observation, most: Quantities) -> Used:
    """Bill what was to be read out: Mistral's answer tells no characters, and its price is theirs.

    Of a stream that was left or broke off, nobody knows how much Mistral bills: all of it at most.
    """
    is_whole = seen.outcome is Outcome.COMPLETED
    return most, Estimate.EXACT if is_whole else seen.doubt


def _heard(request: Request, seen: Observation, most: Quantities) -> Used:
    """Bill the seconds and no tokens: they are told, and free (docs, pricing)."""
    seconds = seen.usage.prompt_audio_seconds
    if seconds or (seconds == 0 and not seen.delivered):
        return Quantities(audio_seconds=min(seconds, _LARGEST_COUNT)), Estimate.EXACT
    measured = request.seconds() if request.seconds is not None else None
    if measured is not None:
        return Quantities(audio_seconds=min(measured, most.audio_seconds)), seen.doubt
    return most, seen.doubt


def _all_of_it(_request: Request, seen: Observation, most: Quantities) -> Used:
    return most, seen.doubt


def _free(_request: Request, _seen: Observation, _most: Quantities) -> Used:
    return Quantities(), Estimate.EXACT


_METERS: Mapping[Kind, Callable[[Request, Observation, Quantities], Used]] = {
    Kind.CHAT: _tokens,
    Kind.TEXTS: _tokens,
    Kind.RESPONSES: _tokens,
    Kind.NEW: _tokens,
    Kind.OCR: _read_pages,
    Kind.SPEECH: _spoken,
    Kind.CONVERSATION: _tokens,
    Kind.TRANSCRIPTION: _heard,
    Kind.BATCH: _all_of_it,
    Kind.COUNT: _free,
    Kind.PLACE: _free,
    Kind.DOWNLOAD: _free,
}


def _model(document: Mapping[str, object]) -> str | None:
    """Find the model that answered; a conversation names it at each of its outputs."""
    outputs = document.get("outputs")
    for answer in (document, *(outputs if isinstance(outputs, list) else ())):
        model = answer.get("model") if isinstance(answer, dict) else None
        if isinstance(model, str):
            return model
    return None


def _pages(document: Mapping[str, object]) -> int | None:
    told = document.get("usage_info")
    pages = told.get("pages_processed") if isinstance(told, dict) else None
    if type(pages) is int and pages >= 0:
        return pages
    return None
