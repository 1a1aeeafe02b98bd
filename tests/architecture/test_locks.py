"""No migration stops a service that runs on, nor the version that runs beside it while it upgrades.

Judged are migrations from the numbers below on: before, nobody ran the service with rows to lock.
"""

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from tests.architecture import locks

JUDGED_FROM = {
    "access": 7,
    "accounting": 6,
    "assistance": 4,
    "billing": 2,
    "keys": 9,
    "notices": 4,
    "onboarding": 3,
    "organizations": 10,
    "people": 3,
    "registry": 9,
    "spend": 15,
    "support": 4,
}


def is_judged(app: str, name: str) -> bool:
    return app in JUDGED_FROM and int(name[:4]) >= JUDGED_FROM[app]


def statements_of_all() -> dict[str, list[str]]:
    """What each judged migration runs, without running it."""
    graph = MigrationLoader(connection).graph
    state, found = ProjectState(), {}
    for app, name in graph._generate_plan(graph.leaf_nodes(), at_end=True):
        migration = graph.nodes[app, name]
        if not is_judged(app, name):
            state = migration.mutate_state(state, preserve=False)
            continue
        with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
            state = migration.apply(state, editor, collect_sql=True)
        found[f"{app}.{name}"] = editor.collected_sql
    return found


def test_every_app_with_migrations_is_judged():
    ours = {
        app
        for (app, _name), migration in MigrationLoader(None).disk_migrations.items()
        if migration.__module__.startswith("tenants.")
    }
    assert ours == set(JUDGED_FROM)


def test_no_migration_stops_what_runs_beside_it():
    judged = statements_of_all()
    assert "support.0004_lags" in judged
    wrong = {name: list(locks.judge(statements)) for name, statements in judged.items()}
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ('CREATE INDEX "i" ON "calls" ("at");', "CONCURRENTLY"),
        ("CREATE UNIQUE INDEX i ON ONLY calls USING btree (at)", "CONCURRENTLY"),
        ('ALTER TABLE "calls" ADD COLUMN "size" integer NOT NULL;', "keeps no default"),
        ('ALTER TABLE "calls" ALTER COLUMN "size" DROP DEFAULT;', "keeps no default"),
        ('ALTER TABLE "calls" ALTER COLUMN "size" SET NOT NULL;', "read whole"),
        ('ALTER TABLE "calls" ALTER COLUMN "size" TYPE bigint USING "size"::bigint;', "rewritten"),
        ('ALTER TABLE "calls" ADD CONSTRAINT "c" CHECK ("size" > 0);', "NOT VALID"),
        ("ALTER TABLE calls ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES b (id)", "NOT VALID"),
        ('ALTER TABLE "calls" ADD CONSTRAINT "u" UNIQUE ("a", "b");', "USING INDEX"),
        ('ALTER TABLE "calls" DROP COLUMN "size" CASCADE;', "a release later"),
        ('ALTER TABLE "calls" RENAME COLUMN "size" TO "length";', "a release later"),
        ('ALTER TABLE "calls" RENAME TO "requests";', "a release later"),
        ('DROP TABLE "calls" CASCADE;', "a release later"),
        ("LOCK TABLE calls IN SHARE MODE", "everybody waits"),
        ("REINDEX TABLE calls", "everybody waits"),
    ],
)
def test_what_would_stop_somebody_is_found_unless_the_table_is_new(statement, said):
    [found] = locks.judge([statement])
    assert said in found
    assert list(locks.judge(['CREATE TABLE "calls" ("id" uuid);', statement])) == []


@pytest.mark.parametrize(
    "statement",
    [
        'CREATE INDEX CONCURRENTLY "i" ON "calls" ("at");',
        'ALTER TABLE "calls" ADD COLUMN "size" integer NULL;',
        'ALTER TABLE "calls" ADD COLUMN "size" integer DEFAULT 0 NOT NULL;',
        'ALTER TABLE "calls" ADD CONSTRAINT "c" CHECK ("size" > 0) NOT VALID;',
        'ALTER TABLE "calls" VALIDATE CONSTRAINT "c";',
        'ALTER TABLE "calls" ADD CONSTRAINT "u" UNIQUE USING INDEX "i";',
        "REINDEX INDEX CONCURRENTLY i",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ LOCK TABLE calls $$",
        "-- DROP TABLE calls",
    ],
)
def test_what_stops_nobody_passes(statement):
    assert list(locks.judge([statement])) == []
