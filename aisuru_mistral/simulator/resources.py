"""What endpoints about stored things share: pages of lists, query parameters, 404.

Refuses to store anything.
"""

from aisuru_mistral.simulator.routing import Call
from aisuru_mistral.simulator.wire import Reply, json_reply

PAGE_SIZE = 100


def missing(kind: str, identifier: str) -> Reply:
    """404 for a thing that is not there, or not this workspace's. Nobody has recorded the body."""
    return json_reply(404, {"detail": f"{kind} {identifier} not found"})


def invalid(message: str, *, param: str | None = None) -> Reply:
    """400 for a request that makes no sense. Assumed, after the bodies of code 3051."""
    return json_reply(
        400,
        {
            "object": "error",
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": None,
        },
    )


def page_of[Thing](call: Call, things: list[Thing]) -> list[Thing]:
    """The page that the query's `page` and `page_size` ask for."""
    number = whole_number(call, "page", 0)
    size = whole_number(call, "page_size", PAGE_SIZE)
    return things[number * size : (number + 1) * size]


def whole_number(call: Call, name: str, default: int) -> int:
    """A parameter of the query, the default when it is no number."""
    given = call.parameters.get(name, [""])[-1]
    return int(given) if given.isascii() and given.isdigit() else default


def words(call: Call, name: str) -> list[str]:
    """The values of a parameter of the query that may come more than once."""
    return [word for word in call.parameters.get(name, []) if word]


def flag(call: Call, name: str, *, default: bool) -> bool:
    """A parameter of the query that says yes or no."""
    given = words(call, name)
    return given[-1].lower() in {"true", "1"} if given else default
