"""Three networks with a router between them, in which packets to an address can be swallowed.

This process is where PostgreSQL, Redis, the broker and Mistral are, each with an address; the
service lives in another network. A swallowed packet is answered by nobody: no reset, no refusal, no
ICMP, which is how a broken switch, a firewall or a dead machine looks. The networks belong to
processes of ours and end with them.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aisuru_mistral.launcher.processes import die_with_parent
from bench.faults.ground import run, skip
from bench.servers import Place

POSTGRES, REDIS, MISTRAL, BROKER = "10.99.1.1", "10.99.1.2", "10.99.1.3", "10.99.1.4"
_SERVICE = "10.99.2.1"
_OURS = "10.99.1.5"


@dataclass(frozen=True)
class Network:
    """Where the service runs, and the router that leads there."""

    service: Place
    router: int

    @contextmanager
    def swallowing(self, address: str) -> Iterator[None]:
        """Lose every packet to and from an address, for a while."""
        for way in ("to", "from"):
            self._rule("add", way, address)
        try:
            yield
        finally:
            for way in ("to", "from"):
                self._rule("del", way, address)

    def _rule(self, verb: str, way: str, address: str) -> None:
        run(*_into(self.router), "ip", "rule", verb, way, address, "pref", "10", "blackhole")


@contextmanager
def network() -> Iterator[Network]:
    """Make the networks; before the first thread starts."""
    try:
        os.unshare(os.CLONE_NEWNET)
    except OSError as error:
        skip(f"no networks of our own here ({error.strerror})")
    holders = [_holder(), _holder()]
    try:
        router, service = (holder.pid for holder in holders)
        try:
            _wire(router, service)
        except OSError as error:
            skip(f"no networks can be joined here ({error.strerror})")
        place = Place(_SERVICE, _into(service))
        yield Network(place, router)
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()


def _holder() -> subprocess.Popen[bytes]:
    """Start a process that keeps a network of its own."""
    return subprocess.Popen(
        ["unshare", "--net", "sleep", "infinity"],
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one system call
    )


def _into(pid: int) -> tuple[str, ...]:
    return ("nsenter", "--net", "--target", str(pid))


def _network_of(process: int | str) -> Path:
    return Path(f"/proc/{process}/ns/net").readlink()


def _wire(router: int, service: int) -> None:
    ours = _network_of("self")
    while ours in {_network_of(router), _network_of(service)}:
        time.sleep(0.01)
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(router))
    run("ip", "address", "add", f"{_OURS}/24", "dev", "near")
    for address in (POSTGRES, REDIS, MISTRAL, BROKER):
        run("ip", "address", "add", f"{address}/24", "dev", "near")
    run("ip", "link", "set", "near", "up")
    for command in (
        "ip link set lo up",
        "ip address add 10.99.1.254/24 dev far",
        "ip link set far up",
        f"ip link add near type veth peer name far2 netns {service}",
        "ip address add 10.99.2.254/24 dev near",
        "ip link set near up",
        "sysctl -q -w net.ipv4.ip_forward=1",
    ):
        run(*_into(router), *command.split())
    for command in (
        "ip link set lo up",
        f"ip address add {_SERVICE}/24 dev far2",
        "ip link set far2 up",
        "ip route add default via 10.99.2.254",
    ):
        run(*_into(service), *command.split())
    run("ip", "route", "add", "10.99.2.0/24", "via", "10.99.1.254", "src", _OURS)
