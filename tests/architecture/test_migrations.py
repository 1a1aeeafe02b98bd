"""Migrations are taken back, and leave nothing behind."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from aisuru_mistral.launcher import provision
from tests.postgres import OWNER_URL, TEMPLATE, owner_url, service_environment

ROOT = Path(__file__).resolve().parents[2]
LOWEST_APPS = ("organizations", "people")  # every other one goes back with them


def take_back(url: str) -> None:
    """Take all of them back, in one process."""
    lines = ["import django", "from django.core.management import call_command", "django.setup()"]
    lines += [f"call_command('migrate', {app!r}, 'zero', verbosity=0)" for app in LOWEST_APPS]
    subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=ROOT,
        env=service_environment(DATABASE_URL=url),
        check=True,
    )


@pytest.mark.rehearsal
@pytest.mark.timeout(600)  # it runs every migration backwards
def test_every_migration_can_be_taken_back_and_leaves_a_database_as_it_was_before():
    name = f"{owner_url().rpartition('/')[2].partition('?')[0]}_back"
    with psycopg.connect(service_environment()[OWNER_URL], autocommit=True) as owner:
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        owner.execute("SELECT pg_advisory_lock(1)")  # copying wants the template to itself
        owner.execute(copy.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
    url = provision.with_database(owner_url(), name)
    take_back(url)
    with psycopg.connect(url) as owner:
        left = owner.execute(
            """SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
               WHERE nspname = 'public' AND relname !~ '^(django|auth)_'
               UNION ALL
               SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
               WHERE nspname = 'public'
               UNION ALL
               SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
               WHERE nspname = 'public' AND typtype IN ('d', 'e', 'r')"""
        ).fetchall()
    assert left == []
