"""Django settings for `manage.py mistral_simulator` alone.

Refuses to need an environment, a secret or a database.
"""

import secrets
from typing import Any

# Django wants one; nothing here signs anything.
SECRET_KEY = secrets.token_urlsafe(48)
INSTALLED_APPS = ["aisuru_mistral.simulator"]
DATABASES: dict[str, dict[str, Any]] = {}
USE_TZ = True
LOGGING_CONFIG = None
