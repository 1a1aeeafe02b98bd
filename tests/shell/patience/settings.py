"""The service's own settings, with an app more to migrate."""

from aisuru_mistral.settings import *  # noqa: F403
from aisuru_mistral.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.shell.patience"]
