"""Breaks a connection the hard way: the peer sees a reset.

Refuses to touch any socket but that one.
"""

import ctypes
import os
import socket
import struct
from pathlib import Path

from aisuru_mistral.simulator.wire import Scope

OPEN_FILES = Path("/proc/self/fd")
_DISCONNECT = struct.pack("=H14x", socket.AF_UNSPEC)


def reset_connection(scope: Scope) -> bool:
    """Reset the TCP connection that the ASGI scope came over; False where that cannot be done.

    ASGI has no word for it, so the socket is looked up among the open files of this process by its
    two addresses, and connected to AF_UNSPEC: what connect(2) documents as dissolving the
    association, which on Linux sends RST at once, whoever else holds the file.
    """
    peer, own = _address(scope.get("client")), _address(scope.get("server"))
    if peer is None or own is None or not OPEN_FILES.is_dir():
        return False
    return any(
        _reset_if(int(name.name), peer, own) for name in OPEN_FILES.iterdir() if name.name.isdigit()
    )


def _address(pair: object) -> tuple[str, int] | None:
    if not isinstance(pair, list | tuple) or len(pair) != 2:  # noqa: PLR2004 - host and port
        return None
    return str(pair[0]), int(pair[1])


def _reset_if(number: int, peer: tuple[str, int], own: tuple[str, int]) -> bool:
    try:
        # A copy: the original may be closed and given to another file while it is looked at.
        copy = os.dup(number)
    except OSError:
        return False
    try:
        connection = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return False
    with connection:
        try:
            if (connection.getpeername()[:2], connection.getsockname()[:2]) != (peer, own):
                return False
        except (OSError, TypeError):
            return False
        library = ctypes.CDLL(None, use_errno=True)
        return bool(library.connect(copy, _DISCONNECT, len(_DISCONNECT)) == 0)
