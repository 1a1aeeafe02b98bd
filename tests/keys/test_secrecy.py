"""A canary key is hunted through everything a key's life leaves behind; it must be nowhere."""

import base64
import dataclasses
import json
import logging
import os
import pickle
import signal
import threading
import traceback
from typing import Any

import psycopg
import pytest
from celery import Celery
from celery._state import get_current_app
from psycopg import sql

from tenants.common import scope
from tenants.common.problems import Problem
from tenants.common.secrets import Secret
from tenants.keys import custody, services, validation, verdicts
from tenants.keys.models import MistralKey
from tenants.keys.sealed import SealedKey
from tenants.organizations import data_keys
from tests import factories
from tests.factories import ACTOR
from tests.keys.keyring import checked, fresh, registered, set_back
from tests.postgres import owner_url

pytestmark = pytest.mark.slow


def spellings(plain: str) -> list[str]:
    """How the key may look in text: as it is, cut, in hex, in base64 at any offset."""
    octets = plain.encode()
    encoded = [base64.b64encode(b"x" * shift + octets).decode()[4:-4] for shift in range(3)]
    return [plain, plain[:12], plain[-12:], octets.hex(), *encoded]


def assert_absent(plain: str, *texts: str) -> None:
    for text in texts:
        for spelling in spellings(plain):
            assert spelling not in text


def everything_stored() -> str:
    """Every row of every table: the owner reads what it owns, the application its own queues."""
    rows: list[str] = []
    with (
        psycopg.connect(owner_url()) as owner,
        psycopg.connect(os.environ["DATABASE_URL"]) as application,  # noqa: TID251 - as tests/postgres.py set it
    ):
        tables = owner.execute(
            """SELECT schemaname, tablename, pg_has_role(tableowner, 'USAGE') FROM pg_tables
               WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""
        ).fetchall()
        for schema, table, is_owned in tables:
            statement = sql.SQL("SELECT to_jsonb(t)::text FROM {}.{} AS t").format(
                sql.Identifier(schema), sql.Identifier(table)
            )
            rows += [row for (row,) in (owner if is_owned else application).execute(statement)]
    assert rows
    return "\n".join(rows)


@pytest.fixture
def verbose(caplog):
    """Hear everything that anybody logs."""
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def broker():
    """Return a function that gives what tasks carried, raw, and empties the broker."""
    before = get_current_app()
    app = Celery("tests", broker="memory://")
    app.conf.update(task_default_queue="canary", task_ignore_result=True)
    app.set_current()

    def carried() -> str:
        texts: list[str] = []
        with app.connection_for_read() as link, link.SimpleQueue("canary") as messages:
            while True:
                try:
                    message = messages.get_nowait()
                except messages.Empty:
                    return "\n".join(texts)
                message.ack()
                texts.append(f"{message.headers} {message.properties} {message.body}")

    yield carried
    before.set_current()


@pytest.mark.parametrize(
    "error",
    [None, "unauthorized_quoting_key", "invalid_api_key", "service_unavailable", "garbage", "hang"],
)
@pytest.mark.usefixtures("verbose")
def test_the_key_is_in_no_log_no_task_no_answer_and_no_table(
    workspace, made_up, caplog, broker, error
):
    canary, successor = made_up(behaviour={"error": error} if error else {}), made_up()
    registration = services.register_key(
        actor=ACTOR, workspace=workspace, plain=Secret(f"Bearer {canary}"), name="Canarino"
    )
    key = checked(registration.key)
    key = checked(set_back(key, next_check_at=1, secret_at=600))
    key = services.request_validation(actor=ACTOR, key=key)
    told = [repr(registration), str(verdicts.of(key)), json.dumps(key.evidence), str(key.identity)]
    key = services.replace_secret(actor=ACTOR, key=key, plain=Secret(successor)).key
    assert_absent(canary, everything_stored())
    key = services.delete_key(actor=ACTOR, key=checked(key))
    carried = broker()
    assert carried.count("keys.validate") == 3
    assert key.checked_at, "Mistral was really asked"
    stored = everything_stored()
    assert str(key.id) in stored, "the dump really has the rows"
    for plain in (canary, successor):
        assert_absent(plain, stored, carried, caplog.text, *told)
        assert_absent(plain, *(str(vars(record)) for record in caplog.records))


@pytest.mark.parametrize("length", [10, 200])
def test_a_refused_key_is_not_quoted(workspace, length):
    plain = "Zq7" * length
    with pytest.raises(Problem) as refusal:
        registered(workspace, plain[:15] + "\x00" + plain[15:])
    problem = refusal.value
    said = f"{problem} {problem.detail} {problem.members} {problem.errors}"
    said += "".join(traceback.format_exception(problem))
    assert plain[:12] not in said


def our_frames(error: BaseException) -> str:
    """Write an exception down with the locals of every frame but the tests' own."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "\n".join(
        f"{frame.filename} {frame.name} {frame.locals}"
        for frame in report.stack
        if "/tests/" not in frame.filename
    )


class TimeIsUpError(Exception):
    """What a soft time limit raises, wherever the worker is."""


def test_a_check_that_is_broken_off_shows_the_key_in_no_frame(workspace, made_up, settings):
    """A report with the locals of every frame is what an error collector writes down."""
    settings.KEY_TIMING = {"read": 30, "answer": 30}
    canary = made_up(behaviour={"error": "hang"})
    key = registered(workspace, canary)

    def time_is_up(*_: object) -> None:
        raise TimeIsUpError

    before = signal.signal(signal.SIGUSR1, time_is_up)
    alarm = threading.Timer(2.5, os.kill, [os.getpid(), signal.SIGUSR1])
    alarm.start()
    try:
        with pytest.raises(TimeIsUpError) as broken:
            validation.validate(key.organization_id, key.id)
    finally:
        alarm.cancel()
        signal.signal(signal.SIGUSR1, before)
    text = our_frames(broken.value)
    assert "list_models" in text, "it really was broken off while Mistral was asked"
    assert_absent(canary, text)


def test_a_crash_while_sealing_or_opening_shows_the_key_in_no_frame(
    workspace, made_up, monkeypatch
):
    canary = made_up()
    key = registered(workspace, canary)
    monkeypatch.setattr("tenants.vault.envelope.AeadKey", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as sealing:
        registered(workspace, canary[::-1])
    with pytest.raises(ZeroDivisionError) as opening:
        validation.validate(key.organization_id, key.id)
    frames = [our_frames(failure.value) for failure in (sealing, opening)]
    assert all("envelope" in text for text in frames)
    assert_absent(canary, *frames)
    assert_absent(canary[::-1], *frames)


def sealed(key):
    with scope.tenant(key.organization_id):
        row: Any = MistralKey.objects.get(pk=key.pk)
        data_key = data_keys.of_version(row.organization_id, row.data_key_version)
        return SealedKey(
            row.organization_id,
            row.workspace_id,
            row.id,
            row.secret_version,
            bytes(row.sealed),
            data_key,
        )


def test_plain_data_opens_without_a_query_and_only_to_a_secret(workspace, made_up):
    plain = made_up()
    box = sealed(registered(workspace, plain))
    opened = custody.open_sealed(box)
    assert opened == Secret(plain)
    assert_absent(plain, repr(box), repr(opened), str(opened), f"{opened}")
    with pytest.raises(TypeError):
        pickle.dumps(opened)
    with pytest.raises(TypeError):
        json.dumps({"key": opened})


@pytest.mark.parametrize("field", ["organization_id", "workspace_id", "key_id", "box", "data_key"])
def test_a_box_in_anothers_slot_or_with_anothers_data_key_does_not_open(
    workspace, stranger, made_up, field
):
    mine = sealed(registered(workspace, made_up()))
    theirs = sealed(registered(factories.default_workspace(stranger), made_up()))
    assert_closed(dataclasses.replace(mine, **{field: getattr(theirs, field)}))


@pytest.mark.parametrize(
    "change",
    [
        {"secret_version": 2},
        {"data_key": None},
        {"box": b""},
        {"box": bytes(range(80))},
    ],
)
def test_an_altered_box_does_not_open(workspace, made_up, change):
    assert_closed(dataclasses.replace(sealed(registered(workspace, made_up())), **change))


def assert_closed(box: SealedKey) -> None:
    with pytest.raises(custody.UndecryptableError) as refusal:
        custody.open_sealed(box)
    assert str(refusal.value) == "the stored key does not open"
    told = "".join(traceback.format_exception(refusal.value))
    assert "OpeningError" not in told, "the inner reason is not told either"


def test_rows_swapped_in_the_database_do_not_open(workspace, made_up):
    first, second = (registered(workspace, made_up()) for _ in range(2))
    boxes = {key.pk: bytes(fresh(key).sealed) for key in (first, second)}
    with scope.tenant(first.organization_id):
        MistralKey.objects.filter(pk=first.pk).update(sealed=boxes[second.pk])
        with pytest.raises(custody.UndecryptableError):
            custody.borrow(MistralKey.objects.get(pk=first.pk))
