"""`manage.py mistral_simulator --port P`: the simulator alone.

Refuses addresses that others can reach.
"""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aisuru_mistral.simulator.keys import REGISTER
from aisuru_mistral.simulator.server import HOST, SimulatorServer

HIGHEST_PORT = 65_535
ANNOUNCED = (
    "valid",
    "valid_other_organization",
    "unauthorized",
    "billing_inactive",
    "rate_limited",
    "hang",
)


class Command(BaseCommand):
    """Serve a simulated Mistral until SIGTERM or Ctrl-C."""

    help = "A simulated Mistral on loopback, for tests, the demo and benchmarks."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take the address, and the wish to see every key."""
        parser.add_argument("--port", type=_port, default=8010, help="0 takes a free one (8010)")
        parser.add_argument("--host", default=HOST, help="a loopback address (127.0.0.1)")
        parser.add_argument("--keys", action="store_true", help="print every key and what it does")

    def handle(self, **options: Any) -> None:
        """Print where it listens and serve."""
        if options["keys"]:
            for key in REGISTER.keys:
                self.stdout.write(f"{key.secret}  {key.name}: {key.about}")
            return
        try:
            server = SimulatorServer(host=options["host"], port=options["port"])
        except (OSError, ValueError) as error:
            raise CommandError(f"cannot listen on {options['host']}: {error}") from error
        told = [f"{name}={server.state.key(name).secret}" for name in ANNOUNCED]
        shown = ", ".join(told) + "; " if options["verbosity"] else ""  # a log is no place for keys
        self.stdout.write(f"Mistral simulator on {server.url} ({shown}all: {server.url}/sim/keys)")
        self.stdout.flush()
        server.run()


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= HIGHEST_PORT:
        raise ValueError(text)
    return port
