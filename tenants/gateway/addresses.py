"""The addresses beyond plain inference, as data: what each method of each does.

Ids in paths are checked before they are sent anywhere: an id is letters, digits and a few marks,
and so can lead to no other path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto, unique

from tenants.common.problems import Invalid, NotFound

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")


@unique
class Action(Enum):
    """What is asked for."""

    AGENT = auto()
    TRANSCRIBE = auto()
    UPLOAD = auto()
    LIST_FILES = auto()
    READ_FILE = auto()
    DOWNLOAD = auto()
    DELETE_FILE = auto()
    CREATE_JOB = auto()
    LIST_JOBS = auto()
    READ_JOB = auto()
    CANCEL_JOB = auto()
    DELETE_JOB = auto()
    START = auto()
    APPEND = auto()
    RESTART = auto()
    LIST_CONVERSATIONS = auto()
    READ_CONVERSATION = auto()
    DELETE_CONVERSATION = auto()
    TUNED = auto()
    DELETE_MODEL = auto()
    ASK_SOMETHING_NEW = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """One method of one address.

    Attributes:
        template: the address without its id, under which the ledger has it.
        mistral_id: the id in it; empty where there is none.
    """

    action: Action
    method: str
    template: str
    mistral_id: str = ""

    @property
    def path(self) -> str:
        """The address at Mistral."""
        return self.template.replace("{id}", self.mistral_id)


_FILE, _JOB = "/v1/files/{id}", "/v1/batch/jobs/{id}"
_CONVERSATION, _TUNED = "/v1/conversations/{id}", "/v1/fine_tuning/models/{id}"
_ACTIONS: Mapping[str, Mapping[str, Action]] = {
    "/v1/agents/completions": {"POST": Action.AGENT},
    "/v1/audio/transcriptions": {"POST": Action.TRANSCRIBE},
    "/v1/files": {"POST": Action.UPLOAD, "GET": Action.LIST_FILES},
    _FILE: {"GET": Action.READ_FILE, "DELETE": Action.DELETE_FILE},
    f"{_FILE}/content": {"GET": Action.DOWNLOAD},
    f"{_FILE}/url": {"GET": Action.READ_FILE},
    "/v1/batch/jobs": {"POST": Action.CREATE_JOB, "GET": Action.LIST_JOBS},
    _JOB: {"GET": Action.READ_JOB, "DELETE": Action.DELETE_JOB},
    f"{_JOB}/cancel": {"POST": Action.CANCEL_JOB},
    "/v1/conversations": {"POST": Action.START, "GET": Action.LIST_CONVERSATIONS},
    _CONVERSATION: {
        "POST": Action.APPEND,
        "GET": Action.READ_CONVERSATION,
        "DELETE": Action.DELETE_CONVERSATION,
    },
    f"{_CONVERSATION}/restart": {"POST": Action.RESTART},
    f"{_CONVERSATION}/history": {"GET": Action.READ_CONVERSATION},
    f"{_CONVERSATION}/messages": {"GET": Action.READ_CONVERSATION},
    _TUNED: {"PATCH": Action.TUNED},
    f"{_TUNED}/archive": {"POST": Action.TUNED, "DELETE": Action.TUNED},
    "/v1/models/{id}": {"DELETE": Action.DELETE_MODEL},
    # What the list of models takes is answered before this is asked.
    "/v1/models": {},
}
_ROOTS = (
    "/v1/files/",
    "/v1/batch/jobs/",
    "/v1/conversations/",
    "/v1/fine_tuning/models/",
    "/v1/models/",
)


#: A question to an endpoint that nobody here knows: a word for an answer, alone or after the word
#: of what it is about. What a new endpoint keeps cannot be guessed, so all others are not there.
_ANSWERS = frozenset(
    {
        *("classifications", "completions", "corrections", "detections", "edits", "embeddings"),
        *("explanations", "extractions", "generations", "moderations", "ocr", "rerank"),
        *("rerankings", "rewrites", "speech", "summaries", "tokenizations", "transcriptions"),
        *("translations", "variations"),
    }
)
#: What an answer can be about, and nobody's: no ids, no things that are kept.
_SUBJECTS = frozenset({"audio", "chat", "code", "images", "speech", "text", "video", "vision"})


def find(path: str, method: str) -> Place:
    """Find what a method of an address does.

    Raises:
        NotFound: there is no such address.
        Invalid: it does not take this method (405).
    """
    template, mistral_id = path, ""
    root = next((root for root in _ROOTS if path.startswith(root)), None)
    if root is not None:
        mistral_id, slash, rest = path[len(root) :].partition("/")
        template = f"{root}{{id}}{slash}{rest}"
    methods = _ACTIONS.get(template)
    if methods is None and method == "POST" and _is_new(path):
        return Place(Action.ASK_SOMETHING_NEW, method, path)
    if methods is None or (root is not None and not _ID.fullmatch(mistral_id)):
        raise NotFound("not_found", "There is no such endpoint.")
    action = methods.get(method)
    if action is None:
        taken = ", ".join(sorted(methods)) or "GET"
        raise Invalid("method_not_allowed", f"This endpoint takes {taken} only.", status=405)
    return Place(action, method, template, mistral_id)


def _is_new(path: str) -> bool:
    *about, answer = path.removeprefix("/v1/").split("/")
    return answer in _ANSWERS and (not about or (len(about) == 1 and about[0] in _SUBJECTS))
