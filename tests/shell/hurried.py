"""The service's own settings; a database that is away is given up after half a second."""

from aisuru_mistral.settings import *  # noqa: F403
from aisuru_mistral.settings import DATABASES

DATABASES["default"]["OPTIONS"]["pool"] |= {"timeout": 0.5, "reconnect_timeout": 0.5}
