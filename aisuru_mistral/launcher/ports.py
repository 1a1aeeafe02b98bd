"""TCP ports on the loopback interface: whether one is free, who has it, which was used before."""

import http.client
import random
import socket
from pathlib import Path

import psutil

from aisuru_mistral.launcher.console import CannotStart

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def refuse_taken(port: int) -> None:
    """Do nothing when the port is free.

    Raises:
        CannotStart: it is not; the text names the process that has it, where that may be known.
    """
    if is_free(port):
        return
    if port < 1024:  # noqa: PLR2004 - the kernel's border
        raise CannotStart(f"PORT={port} cannot be used: it is taken or needs root; choose another")
    another = f"make up PORT={port + 1}"
    raise CannotStart(
        f"port {port} is taken{_holder(port)}: stop that, or choose another: {another}"
    )


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,):
                if connection.pid is None:
                    return " by another user's process"
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        return ""
    return ""


def remembered_port(path: Path) -> int:
    """Return the port that this file remembers, or a free one, remembered from now on."""
    try:
        port = int(path.read_text(encoding="ascii"))
        if 1024 <= port <= 65535 and is_free(port):  # noqa: PLR2004
            return port
    except (OSError, ValueError):
        pass
    # Below the range from which the system takes ports for outgoing connections.
    port = next(port for port in random.sample(range(20000, 32000), 200) if is_free(port))
    path.write_text(str(port), encoding="ascii")
    return port


def answers(port: int, path: str) -> bool:
    """Tell whether an HTTP server on this port answers 200 to a GET of `path`."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def accepts(port: int) -> bool:
    """Tell whether a server listens on this port."""
    try:
        socket.create_connection((HOST, port), timeout=2).close()
    except OSError:
        return False
    return True
