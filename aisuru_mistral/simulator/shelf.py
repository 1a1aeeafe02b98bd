"""Keeps what keys make (files, jobs, conversations) inside the workspace that made it.

Refuses to tell whether somebody else's thing exists.
"""

from aisuru_mistral.simulator.keys import Key


class Shelf[Thing]:
    """Things of one kind by workspace and id, in the order they were made."""

    def __init__(self) -> None:
        self._things: dict[str, dict[str, Thing]] = {}

    def put(self, key: Key, identifier: str, thing: Thing) -> None:
        """Keep a thing for the workspace of the key."""
        self._things.setdefault(key.workspace.id, {})[identifier] = thing

    def find(self, key: Key, identifier: str) -> Thing | None:
        """The thing, if the key's workspace has it."""
        return self._things.get(key.workspace.id, {}).get(identifier)

    def all(self, key: Key) -> list[Thing]:
        """Everything the key's workspace has, oldest first."""
        return list(self._things.get(key.workspace.id, {}).values())

    def remove(self, key: Key, identifier: str) -> Thing | None:
        """Take a thing away."""
        return self._things.get(key.workspace.id, {}).pop(identifier, None)

    def anybodys(self, identifier: str) -> Thing | None:
        """The thing of whatever workspace: only for links that need no key."""
        for things in list(self._things.values()):
            if identifier in things:
                return things[identifier]
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._things.clear()
