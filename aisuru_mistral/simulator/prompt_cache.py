"""Remembers which beginnings of prompts a workspace has sent; refuses to keep their text.

Mistral counts cached input in blocks of 64 tokens (docs:
studio/conversations/advanced/prompt-caching). Here a block is a hit when the same workspace sent
the same beginning to the same model under the same `prompt_cache_key` (none is a key too). The last
token of a prompt is never cached.
"""

from collections import OrderedDict

from aisuru_mistral.simulator.tokens import CHARACTERS_PER_TOKEN

BLOCK_TOKENS = 64
BLOCK_CHARACTERS = BLOCK_TOKENS * CHARACTERS_PER_TOKEN
MAXIMUM_BLOCKS = 200_000


class PromptCache:
    """Hashes of prompt beginnings, the least recently used forgotten first."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def read_through(self, owner: tuple[str, str, str | None], rendered: str) -> int:
        """Cached tokens of this prompt; afterwards its whole beginning is cached."""
        whole_blocks = (len(rendered) - 1) // BLOCK_CHARACTERS
        if whole_blocks == 0:
            return 0
        blocks = self._blocks
        hits = 0
        beginning = hash(owner)
        for number in range(whole_blocks):
            at = number * BLOCK_CHARACTERS
            beginning = hash((beginning, rendered[at : at + BLOCK_CHARACTERS]))
            if beginning in blocks:
                blocks.move_to_end(beginning)
                if hits == number:
                    hits += 1
            else:
                blocks[beginning] = None
        while len(blocks) > MAXIMUM_BLOCKS:
            blocks.popitem(last=False)
        return hits * BLOCK_TOKENS

    def clear(self) -> None:
        """Forget everything."""
        self._blocks.clear()
