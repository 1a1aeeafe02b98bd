"""Settings of the test suite: the service's own, with secrets made up for tests."""

import base64
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

# Made up in each run: nothing that is published may open a deployment. Processes that tests start
# have the same, as they inherit what they are made of.
_RUN = os.environ.setdefault("AIM_TEST_RUN", secrets.token_urlsafe(32))
_KEY = base64.b64encode(hashlib.sha256(f"master {_RUN}".encode()).digest()).decode()
os.environ.setdefault("DATA_DIR", str(Path(tempfile.gettempdir()) / "aim-no-data-dir"))
os.environ["SECRET_KEY"] = hashlib.sha256(f"signing {_RUN}".encode()).hexdigest()
os.environ["ENCRYPTION_KEYRING"] = f"t1:{_KEY}"
_no_database = "DATABASE_URL" not in os.environ  # a command that needs settings only
os.environ.setdefault("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
os.environ.setdefault("PUBLIC_URL", "http://gateway.test")
os.environ.setdefault("LOG_LEVEL", "WARNING")
os.environ["VIES_API_URL"] = "http://127.0.0.1:9"  # nobody answers there
os.environ["AISURU_API_URL"] = "http://127.0.0.1:9/api/v2"  # nor there
os.environ["EMAIL_URL"] = "consolemail://"

from aisuru_mistral.settings import *  # noqa: E402, F403 - the environment comes first

# Tests share one Mistral, and none of them waits for its turn there unless it is about turns.
KEY_TIMING = {"pace": 1_000_000, "pace_all": 1_000_000}

if _no_database:
    DATABASES = {"default": {"ENGINE": "django.db.backends.dummy"}}
    SILENCED_SYSTEM_CHECKS = ["models.W047"]  # it knows no unique constraint over nulls
