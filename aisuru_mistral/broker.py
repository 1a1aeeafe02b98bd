"""How work reaches the workers: ``CELERY_BROKER_URL`` as Celery's settings."""

from typing import Any

from psycopg import conninfo

from aisuru_mistral.env import django_database

#: Seconds after which pgmq and Redis deliver again what no worker has acknowledged (RabbitMQ does
#: when a connection breaks). Longer than any task takes, with its wait for a retry and for a place
#: in a worker: what is under way is not delivered again.
REDELIVERY = 1_500


def _pgmq_connection(url: str) -> str:
    """Write pgmq's address in libpq's form: it ignores ``?host=`` in the other.

    pgmq takes five values apart and puts them together again without quotes, so they carry quotes
    of their own where they need them; all other options (``sslmode``, time-outs) go with the last.
    """
    facts = django_database(url)
    parts = {
        "host": facts["HOST"],
        "port": facts["PORT"],
        "dbname": facts["NAME"],
        "user": facts["USER"],
        "password": facts["PASSWORD"],
    }
    quoted = {name: _quote(value) for name, value in parts.items() if value}
    others = " ".join(f"{name}={_quote(value)}" for name, value in facts["OPTIONS"].items())
    quoted["dbname"] += f" {others}"
    return conninfo.make_conninfo("", **quoted)


def _quote(value: str) -> str:
    return conninfo.make_conninfo("", password=value).partition("=")[2]


def celery_settings(broker_url: str) -> dict[str, Any]:
    """Choose Celery's broker options: one queue, late acknowledgement, no results, JSON only."""
    options: dict[str, Any] = {}
    if broker_url.startswith("pgmq://"):
        options = {
            "conn_string": _pgmq_connection(broker_url),
            "init_extension": False,
            "use_notify": True,
            # A long poll is one transaction, and every publisher's first message waits for it.
            "wait_time_seconds": 0,
            "pool_size": 2,
            "pool_timeout": 5,
            "visibility_timeout": REDELIVERY,
        }
        broker_url = "pgmq://"
    elif broker_url.startswith("redis"):
        options = {"visibility_timeout": REDELIVERY}
    return {
        "broker_url": broker_url,
        "broker_transport_options": options,
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": 5,
        "task_default_queue": "aisuru",
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        # Once, at once: a connection that the broker has closed is made anew. What it cannot
        # take now is found by the sweeps.
        "task_publish_retry": True,
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0},
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "timezone": "UTC",
        "task_soft_time_limit": 60,
        "task_time_limit": 90,
    }
