"""The service's own settings, in a hurry: what is due is found within seconds."""

from aisuru_mistral.settings import *  # noqa: F403
from aisuru_mistral.settings import BROKER_URL, CELERY, CELERY_BEAT_SCHEDULE, DATABASES

KEY_TIMING = {"queue": 4, "read": 10, "answer": 20, "claim": 30}
CELERY_BEAT_SCHEDULE["keys.sweep"] |= {"schedule": 1, "options": {"expires": 5}}
CELERY["imports"] = ["tests.stores.poison", "tests.stores.walk"]
if BROKER_URL.startswith("amqp"):  # others may use the same RabbitMQ
    CELERY["task_default_queue"] = DATABASES["default"]["NAME"]
else:
    CELERY["broker_transport_options"] |= {"visibility_timeout": 8}
if BROKER_URL.startswith("redis"):  # it looks for lost messages every 100 s, and one that is
    # killed while it looks keeps all others from it for 300 s
    CELERY["broker_transport_options"] |= {
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 5,
    }
