"""Settings of the web process that a browser visits: the gateway's, with mail written to files."""

import os

from tests.gateway.settings import *  # noqa: F403 - the same service

MAILERS = {
    "default": {
        "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
        "OPTIONS": {"file_path": os.environ["AIM_TEST_MAIL"]},  # noqa: TID251 - from the test
    }
}
