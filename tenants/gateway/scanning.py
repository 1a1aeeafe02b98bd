"""Counts, in a file of batch requests on its way to Mistral, what bounds the cost of its lines.

Nothing of the file is kept but counts and the ids of other files that it names. It looks at bytes,
not at JSON: a decoy can lower the bound of the output, and then the difference is posted as excess.
"""

import re
from typing import Any

from tenants.gateway.references import HIDDEN_NAME

_CARRIED = 512
_CAP = re.compile(rb'"max(?:_completion|_output)?_tokens"\s{0,20}:\s{0,20}(\d{1,10})')
_FILE = re.compile(rb'"file_id"\s{0,20}:\s{0,20}"([^"\\]{1,200})"')
_UNBOUNDED = re.compile(
    rb'"type"\s{0,20}:\s{0,20}"(?:image_url|document_url|input_audio|file|(web_search'
    rb'|web_search_premium|code_interpreter|image_generation|document_library|connector))"'
)
_AGENT = re.compile(rb'"agent_id"\s{0,20}:\s{0,20}"')
_CHOICES = re.compile(rb'"n"\s{0,20}:\s{0,20}(\d{1,3})')
_MOST_FILES = 1000


class BatchScan:
    """What the lines of one batch file can use at most."""

    def __init__(self) -> None:
        self._carry = b""
        self._is_whole = True
        self._lines = 0
        self._size = 0
        self._capped = 0
        self._caps = 0
        self._unbounded = 0
        self._calls_connectors = False
        self._choices = 1
        self._files: set[str] = set()
        self._is_readable = True

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes of the file."""
        self._size += len(chunk)
        self._lines += chunk.count(b"\n")
        self._is_whole = chunk.endswith(b"\n")
        window, known = self._carry + chunk, len(self._carry)
        for found in _CAP.finditer(window):
            if found.end() > known:
                self._capped += 1
                self._caps += int(found[1])
        for found in _UNBOUNDED.finditer(window):
            if found.end() > known:
                self._unbounded += 1
                self._calls_connectors |= found[1] is not None
        self._calls_connectors |= _AGENT.search(window) is not None
        for found in _FILE.finditer(window):
            self._files.add(found[1].decode("utf-8", "replace"))
        for found in _CHOICES.finditer(window):
            self._choices = max(self._choices, int(found[1]))
        if HIDDEN_NAME.search(window) or len(self._files) > _MOST_FILES:
            self._is_readable = False
        self._carry = window[-_CARRIED:]

    def facts(self) -> dict[str, Any]:
        """Tell what was found; ``is_plain`` is False for what cannot be bounded like this."""
        return {
            "bytes": self._size,
            "lines": self._lines + (not self._is_whole),
            "capped_lines": self._capped,
            "output_caps": self._caps,
            "unbounded_parts": self._unbounded,
            "calls_connectors": self._calls_connectors,
            "choices": self._choices,
            "names_files": sorted(self._files),
            "is_plain": self._is_readable,
        }
