"""Preparing a database: roles without rights to bypass, a queue that works, and clear refusals."""

from concurrent.futures import ThreadPoolExecutor

import kombu
import psycopg
import pytest
from psycopg import errors, sql

from aisuru_mistral import broker
from aisuru_mistral.launcher import provision
from aisuru_mistral.launcher.console import CannotStart
from aisuru_mistral.launcher.postgres import EmbeddedPostgres


@pytest.fixture(scope="module")
def server(make_place):
    server = EmbeddedPostgres(make_place() / "postgres", durable=False, tell=lambda _line: None)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def superuser(server):
    with psycopg.connect(server._url("postgres", "postgres"), autocommit=True) as connection:
        yield connection


def _provision(server, database, password="a password of the application"):
    login = provision.app_login_of(database)
    return provision.provision(server.owner_url(), database, login, password)


def test_the_application_owns_nothing_and_cannot_bypass_row_security(server):
    url = _provision(server, "plain")
    with psycopg.connect(url) as connection:
        facts = connection.execute(
            """SELECT current_user, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,
                      pg_has_role('aim_app', 'USAGE'),
                      (SELECT count(*) FROM pg_class WHERE relowner = r.oid),
                      (SELECT pg_get_userbyid(datdba) FROM pg_database
                       WHERE datname = current_database())
               FROM pg_roles r WHERE rolname = current_user"""
        ).fetchone()
    assert facts == ("aim_plain_app", False, False, False, False, True, 0, "aim_owner")


def test_the_application_cannot_make_tables_beside_its_queues(server):
    with psycopg.connect(_provision(server, "tables")) as connection:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE public.mine (id int)")
        connection.rollback()
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("CREATE SCHEMA mine")


def test_preparing_again_changes_nothing(server, superuser):
    url = _provision(server, "again")
    before = superuser.execute("SELECT oid, * FROM pg_authid ORDER BY oid").fetchall()
    assert _provision(server, "again") == url
    assert superuser.execute("SELECT oid, * FROM pg_authid ORDER BY oid").fetchall() == before


def test_preparing_at_the_same_time_in_several_databases_works(make_cluster):
    server = make_cluster()
    server.start()
    databases = [f"race_{number % 3}" for number in range(9)]
    with ThreadPoolExecutor(9) as pool:
        urls = list(pool.map(lambda database: _provision(server, database), databases))
    assert len(set(urls)) == 3
    for url in urls:
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM pgmq.meta").fetchone() == (0,)


def test_a_login_comes_into_its_own_database_only(server):
    url, other = _provision(server, "own"), _provision(server, "other")
    psycopg.connect(other).close()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(provision.with_database(url, "other"))


def test_a_changed_password_is_set(server):
    _provision(server, "moved", "the first password")
    url = _provision(server, "moved", "the /second/ p@ssword: 100% +è")
    psycopg.connect(url).close()


def test_an_application_login_that_may_bypass_row_security_is_refused(server, superuser):
    _provision(server, "mighty")
    superuser.execute("ALTER ROLE aim_mighty_app BYPASSRLS")
    with pytest.raises(CannotStart, match="bypass row-level security"):
        _provision(server, "mighty")


def test_an_owner_that_may_not_make_roles_is_told_what_to_run_by_hand(make_cluster):
    server = make_cluster()
    server.start()
    with psycopg.connect(server._url("postgres", "postgres"), autocommit=True) as superuser:
        superuser.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
        superuser.execute("CREATE DATABASE given OWNER weak")
        weak = provision.with_login(server.owner_url("given"), "weak", "weak")
        with pytest.raises(CannotStart, match="CREATE ROLE aim_app NOLOGIN") as refusal:
            provision.provision(weak, "given", "aim_given_app", "chosen by hand")
        made = superuser.execute("SELECT 1 FROM pg_roles WHERE rolname LIKE 'aim\\_%app'")
        assert made.fetchall() == []
        by_hand = [line.strip() for line in str(refusal.value).splitlines() if ";" in line]
        password = "…POSTGRES_APP_PASSWORD of DATA_DIR/secrets.env…"
        for line in by_hand:
            statement = line.replace(password, "chosen by hand")
            superuser.execute(statement.replace("the login of DATABASE_URL", "weak").encode())
    app = provision.provision(weak, "given", "aim_given_app", "chosen by hand")
    with psycopg.connect(app) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("aim_given_app",)


def test_a_server_that_does_not_answer_is_named(server):
    with pytest.raises(CannotStart, match="cannot be reached"):
        provision.provision("postgresql://o:p@127.0.0.1:9/x?connect_timeout=2", "x", "a", "b")


def test_a_message_goes_through_the_queue_as_the_application_and_wakes_the_reader(server):
    settings = broker.celery_settings(
        "pgmq" + _provision(server, "queue").removeprefix("postgresql")
    )
    queue = kombu.Queue("aisuru", kombu.Exchange("aisuru"), routing_key="aisuru")
    got = []

    def keep(body, message):
        got.append(body)
        message.ack()

    options = settings["broker_transport_options"]
    url = settings["broker_url"]
    with (
        kombu.Connection(url, transport_options=options) as sending,
        kombu.Connection(url, transport_options=options) as reading,
        reading.Consumer([queue], callbacks=[keep]),
    ):
        producer = sending.Producer()
        producer.publish({"id": "1"}, exchange="aisuru", routing_key="aisuru", declare=[queue])
        reading.drain_events(timeout=10)
        assert got == [{"id": "1"}]
        assert reading.SimpleQueue("aisuru").qsize() == 0


def test_the_names_of_a_database_are_quoted(server):
    name = 'odd"name;--'
    url = _provision(server, name)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == (name,)
    with psycopg.connect(server.owner_url(), autocommit=True) as owner:
        owner.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
