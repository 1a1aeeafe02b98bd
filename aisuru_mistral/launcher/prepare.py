"""Prepares a database for a deployment without the launcher: roles, queue, migrations, prices.

Run as ``python -m aisuru_mistral.launcher.prepare`` before the first start and after each upgrade.
``DATABASE_OWNER_URL`` may make roles and owns the tables; ``DATABASE_URL`` is the application's own
login, which is made with the password that stands in it. It may run again, and at the same time as
another run.
"""

import subprocess
import sys
from urllib.parse import unquote, urlsplit

from aisuru_mistral import env
from aisuru_mistral.launcher import provision
from aisuru_mistral.launcher.console import CannotStart, say

_COMMANDS = (["migrate", "--no-input"], ["load_prices"])


def main() -> int:
    """Prepare the database and return the exit code."""
    try:
        environment = env.load()
        owner_url = _provisioned(environment)
    except (CannotStart, env.ConfigurationError) as refusal:
        say(f"The database is not prepared: {refusal}")
        return 1
    as_owner = dict(environment.variables) | {"DATABASE_URL": owner_url}
    for command in _COMMANDS:
        result = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=env.ROOT, env=as_owner, check=False
        )
        if result.returncode:
            return result.returncode
    return 0


def _provisioned(environment: env.Environment) -> str:
    """Make roles and queue; return the owner's address of the application's database."""
    owner_url = environment.text("DATABASE_OWNER_URL")
    if owner_url is None:
        remedy = "give the address of the login that owns the tables"
        raise env.ConfigurationError("DATABASE_OWNER_URL", "is not set", remedy)
    app = urlsplit(environment.database_url)
    if not app.username or not app.password:
        remedy = "like postgresql://aim_app_login:password@host/name"
        raise env.ConfigurationError("DATABASE_URL", "has no login or no password", remedy)
    database = provision.database_of(environment.database_url)
    provision.provision(owner_url, database, unquote(app.username), unquote(app.password))
    return provision.with_database(owner_url, database)


if __name__ == "__main__":
    sys.exit(main())
