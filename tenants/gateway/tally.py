"""Counts what requests of a batch can use at most, and notes what they name.

A request is looked at as it was parsed, by the same rules as one that comes alone. Which endpoint
will answer is not known when a file passes, so what each of them would bill is counted. What cannot
be bounded is refused, with what is wrong with it.
"""

from collections.abc import Mapping
from typing import Any, Final

from tenants.common.problems import Invalid
from tenants.gateway import bounding, contents, references, voices
from tenants.gateway.references import LONGEST_ID, OPAQUE

_VOICES: Final = "names_voices"
#: What a line may not name, and the word in the facts that gathers it.
FORBIDDEN: Final = {
    "Library": "names_libraries",
    "Connector": "names_connectors",
    "Vector store": "names_stores",
    "Voice": _VOICES,
    "Response": "names_responses",
    "Conversation": "names_conversations",
    "Prompt": "names_prompts",
}
#: Members whose values name things at Mistral, and the word in the facts that gathers them.
_NAMING: Final = {
    "file_id": "names_files",
    "file_ids": "names_files",
    "agent_id": "names_agents",
    "next_agent_id": "names_agents",
    "previous_agent_id": "names_agents",
    **{name: FORBIDDEN[noun] for name, noun in references.FOREIGN.items()},
}
_MOST = {"names_files": 1000, "names_agents": 100, "names_models": 10}


class Tally:
    """What the requests of one batch can use together."""

    def __init__(self) -> None:
        self._counts = {
            "lines": 0,
            "plain_lines": 0,
            "plain_bytes": 0,
            "more_contexts": 0,
            "output_caps": 0,
            "uncapped": 0,
            "turn_caps": 0,
            "uncapped_turns": 0,
            "pages": 0,
            "annotated_pages": 0,
            "audio_seconds": 0,
            "perhaps_seconds": 0,
        }
        self._calls_connectors = False
        self._asks_priority = False
        self._names: dict[str, set[str]] = {
            one: set() for one in ("names_models", *_NAMING.values(), *FORBIDDEN.values())
        }

    def add(self, request: object, size: int) -> None:
        """Count one request, which is ``size`` bytes long.

        Raises:
            Invalid: it is none, or a member that bounds it is of the wrong type.
        """
        body = request.get("body") if isinstance(request, dict) else None
        if not isinstance(request, dict) or not isinstance(body, dict):
            raise Invalid("invalid_value", "It is no object with an object `body`.")
        self._look_through(request)
        model = body.get("model")
        if model is not None and not isinstance(model, str):
            raise Invalid("invalid_value", "`model` is text.")
        if model is not None:
            self._note("names_models", model)
        for noun, mistral_id in references.stored_in(body):
            self._note(FORBIDDEN[noun], mistral_id)
        counts = self._counts
        counts["lines"] += 1
        self._asks_priority |= bounding.asks_priority(body)
        self._count_input(request, body, size)
        self._count_output(body)
        pages = bounding.pages_of(body) if "document" in body else bounding.MOST_PAGES
        counts["annotated_pages" if bounding.is_annotated(body) else "pages"] += pages

    def facts(self) -> dict[str, Any]:
        """Tell what was found."""
        return {
            **self._counts,
            "calls_connectors": self._calls_connectors,
            "asks_priority": self._asks_priority,
            **{word: sorted(names) for word, names in self._names.items()},
        }

    def _count_input(self, request: Mapping[str, Any], body: Mapping[str, Any], size: int) -> None:
        given = [body[name] for name in contents.TEXTS if name in body]
        looks_up = (
            bounding.looks_up(body)
            or "agent_id" in request
            or "agent_id" in body
            or any(True for one in given for _ in contents.agents_in(one))
        )
        self._calls_connectors |= looks_up
        counts = self._counts
        seen = contents.look(*given)
        others = seen.others
        if not looks_up and not others:
            counts["plain_lines"] += 1
            more = bounding.retold_in(body, seen)
            counts["plain_bytes"] += (
                max(size, len(contents.dumped(request))) + more if more else size
            )
            return
        heard, perhaps, _ = bounding.seconds_in(others)
        counts["audio_seconds"] += heard
        counts["perhaps_seconds"] += perhaps
        counts["more_contexts"] += max(sum(map(contents.texts_in, given)), 1) - 1

    def _count_output(self, body: Mapping[str, Any]) -> None:
        """Count what is written by a chat, and by a turn of a conversation, if it is one."""
        args = body.get("completion_args")
        if args is not None and not isinstance(args, dict):
            raise Invalid("invalid_value", "`completion_args` is an object.")
        counts, choices = self._counts, bounding.choices_of(body)
        cap = bounding.cap_of(body)
        if cap is None:
            counts["uncapped"] += choices
        else:
            counts["output_caps"] += cap * choices
        cap = bounding.cap_of(args) if args else None
        if cap is None:
            counts["uncapped_turns"] += 1
        else:
            counts["turn_caps"] += cap

    def _look_through(self, request: Mapping[str, Any]) -> None:
        """Note the names of things in a request."""
        waiting: list[Any] = [request]
        opaque: list[Any] = []
        while waiting or opaque:
            part, into = (waiting.pop(), waiting) if waiting else (opaque.pop(), opaque)
            if type(part) is list:
                into += [one for one in part if type(one) is dict or type(one) is list]
                continue
            for name, value in part.items():
                if into is waiting and name in _NAMING:
                    self._note_all(_NAMING[name], value)
                if type(value) is dict or type(value) is list:
                    (opaque if name in OPAQUE else into).append(value)

    def _note_all(self, word: str, value: object) -> None:
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, str) and (word != _VOICES or one not in voices.PRESETS):
                self._note(word, one)

    def _note(self, word: str, name: str) -> None:
        if "\0" in name:
            raise Invalid("invalid_value", "It names something with a null character.")
        names = self._names[word]
        # No id is longer: what is cut off belongs to nothing that could be found.
        names.add(name[:LONGEST_ID])
        if len(names) > _MOST.get(word, 1):
            most = _MOST.get(word)
            if most is None:  # of these none may be named: the first is as good as all
                names.pop()
                return
            noun = word.removeprefix("names_")
            raise Invalid("too_large", f"A batch names {most} {noun} at most.")
