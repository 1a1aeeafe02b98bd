"""Settings of the test suite: the service's own, with secrets made up for tests."""

import base64
import os
import tempfile
from pathlib import Path

_KEY = base64.b64encode(bytes(range(7, 39))).decode()
os.environ.setdefault("DATA_DIR", str(Path(tempfile.gettempdir()) / "aim-no-data-dir"))
os.environ["SECRET_KEY"] = "q7Yz-3vNf8Lw2Xk5Rb9Td1Mh6Jc4Gs0Pa_Eu7Wo3Zi5Kx2Vn8By"
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
