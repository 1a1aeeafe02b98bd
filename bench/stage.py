"""Sets the stage of a benchmark: a durable PostgreSQL of its own, one tenant, one model, limits.

Everything lies in a folder that is removed afterwards; nothing listens beyond loopback.
"""

import base64
import os
import secrets
import shutil
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from aisuru_mistral.launcher import provision
from aisuru_mistral.launcher.postgres import EmbeddedPostgres
from bench import wire

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Stage:
    """What measurements need: a database, servers' environment, and a model token to call with."""

    postgres: EmbeddedPostgres
    environment: dict[str, str]
    owner_url: str
    token: str
    organization_id: UUID
    workspace_id: UUID
    key_id: UUID
    model_id: UUID


@contextmanager
def stage(
    mistral_url: str,
    *,
    folder: Path | None = None,
    make_postgres: Callable[[Path], EmbeddedPostgres] | None = None,
) -> Iterator[Stage]:
    """Set it up, and clear it away; in a folder of its own unless one is given."""
    folder = folder or Path(tempfile.mkdtemp(prefix="aim-bench-"))
    postgres = (make_postgres or _durable)(folder / "postgres")
    try:
        postgres.start()
        url = provision.provision(
            postgres.owner_url(), "bench", "aim_bench_app", secrets.token_hex(16)
        )
        environment = _environment(folder, url, mistral_url)
        owner = provision.with_database(postgres.owner_url(), "bench")
        for command in ("migrate", "load_prices"):
            subprocess.run(
                [sys.executable, "manage.py", command, "--verbosity", "0"],
                cwd=ROOT,
                env=environment | {"DATABASE_URL": owner},
                stdout=subprocess.DEVNULL,
                check=True,
            )
        yield _furnish(postgres, environment, owner)
    finally:
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _durable(data_dir: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, tell=lambda _line: None)


def _environment(folder: Path, url: str, mistral_url: str) -> dict[str, str]:
    keyring = "b1:" + base64.b64encode(secrets.token_bytes(32)).decode()
    return dict(os.environ) | {  # noqa: TID251 - children inherit it, with what is fixed here
        "DATA_DIR": str(folder),
        "DATABASE_URL": url,
        "MISTRAL_API_URL": mistral_url,
        "SECRET_KEY": secrets.token_urlsafe(64),
        "ENCRYPTION_KEYRING": keyring,
        "DJANGO_SETTINGS_MODULE": "aisuru_mistral.settings",
        "LOG_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT),
    }


def _furnish(postgres: EmbeddedPostgres, environment: dict[str, str], owner_url: str) -> Stage:
    """Make the tenant as a user would: register a key, let it be judged, create a model."""
    os.environ.update(environment)  # noqa: TID251 - this process uses the services as servers do
    import django  # noqa: PLC0415 - the environment comes first

    django.setup()
    from aisuru_mistral.simulator.server import SimulatorServer  # noqa: PLC0415
    from bench import tenant  # noqa: PLC0415

    alphabet = string.ascii_letters + string.digits
    plain = "".join(secrets.choice(alphabet) for _ in range(32))
    with SimulatorServer() as simulator:
        simulator.state.register(key=plain, name="bench")
        made = tenant.make(plain, simulator.url, wire.MODEL, Decimal(1_000_000))
    return Stage(postgres, environment, owner_url, *made)
