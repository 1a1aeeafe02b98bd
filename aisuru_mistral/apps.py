"""Makes the Celery application the current one in every process that sets Django up.

Without it a web process would send its tasks to whatever broker Celery takes for its default.
"""

from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from aisuru_mistral import env, naming, tracing


class ShellConfig(AppConfig):
    """The shell around the house."""

    name = "aisuru_mistral"

    def ready(self) -> None:
        """Make our Celery application Celery's current one, and trace if it is wanted."""
        import_module("aisuru_mistral.celery")
        tracing.configure(settings.TRACES)
        checks.register(_names_are_read)


def _names_are_read(**_options: Any) -> list[checks.CheckMessage]:
    """Warn of variables that nobody reads and that are nearly one of ours."""
    return [
        checks.Warning(f"nobody reads {name}", hint=f"if it is to be {ours}, write that")
        for name, ours in naming.misspelt(env.load().given).items()
    ]
