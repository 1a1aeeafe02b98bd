"""The service's own settings, in a hurry: what is due is found within seconds."""

from aisuru_mistral.settings import *  # noqa: F403
from aisuru_mistral.settings import BROKER_URL, CELERY, CELERY_BEAT_SCHEDULE

KEY_TIMING = {"queue": 4, "read": 10, "answer": 20, "claim": 30}
CELERY_BEAT_SCHEDULE["keys.sweep"] |= {"schedule": 1, "options": {"expires": 5}}
CELERY["imports"] = ["tests.stores.poison"]
if not BROKER_URL.startswith("amqp"):
    CELERY["broker_transport_options"] |= {"visibility_timeout": 8}
