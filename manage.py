#!/usr/bin/env python
"""Django's command line; the simulator alone runs without the service's settings."""

import os
import sys

from django.core.management import execute_from_command_line

from aisuru_mistral import env
from aisuru_mistral.doctor import configuration


def main() -> None:
    """Choose the settings module and hand over to Django."""
    simulator = sys.argv[1:2] == ["mistral_simulator"]
    settings = "aisuru_mistral.simulator.settings" if simulator else "aisuru_mistral.settings"
    # Both are chosen before env.py can be read; a person at a prompt wants answers, not log lines.
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)  # noqa: TID251
    os.environ.setdefault("LOG_LEVEL", "WARNING")  # noqa: TID251
    if sys.argv[1:2] == ["doctor"] and (refusals := configuration.refusals(env.load())):
        # Without settings no command runs: here everything is named that keeps them from loading.
        sys.exit("\n".join(f"✗ {found.code}: {found.said}" for found in refusals))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
