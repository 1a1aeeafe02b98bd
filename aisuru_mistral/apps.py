"""Makes the Celery application the current one in every process that sets Django up.

Without it a web process would send its tasks to whatever broker Celery takes for its default.
"""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings

from aisuru_mistral import tracing


class ShellConfig(AppConfig):
    """The shell around the house."""

    name = "aisuru_mistral"

    def ready(self) -> None:
        """Make our Celery application Celery's current one, and trace if it is wanted."""
        import_module("aisuru_mistral.celery")
        tracing.configure(settings.TRACES)
