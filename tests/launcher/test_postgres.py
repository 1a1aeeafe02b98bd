"""The embedded PostgreSQL: private, quick, and back after a kill -9 of whatever was killed."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
import pytest

from aisuru_mistral.launcher import processes
from aisuru_mistral.launcher.console import CannotStart


def _note(cluster, text):
    with psycopg.connect(cluster.owner_url(), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS aim AUTHORIZATION aim_owner")
        connection.execute("CREATE TABLE IF NOT EXISTS aim.notes (text text)")
        connection.execute("INSERT INTO aim.notes VALUES (%s)", [text])


def _notes(cluster):
    with psycopg.connect(cluster.owner_url()) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM aim.notes")]


@pytest.fixture
def cluster(make_cluster):
    cluster = make_cluster()
    cluster.start()
    with psycopg.connect(cluster._url("postgres", "postgres"), autocommit=True) as superuser:
        superuser.execute("GRANT CREATE ON DATABASE postgres TO aim_owner")
    return cluster


def test_a_stopped_cluster_starts_again_with_its_data(cluster):
    _note(cluster, "before")
    cluster.stop()
    started = time.monotonic()
    cluster.start()
    assert time.monotonic() - started < 3
    assert _notes(cluster) == ["before"]


def test_nobody_gets_in_without_the_password_or_over_the_network(cluster):
    url = cluster.owner_url()
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(cluster.password, "guess"))
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"host='{cluster.socket_dir}' user=postgres password='' dbname=postgres")
    assert cluster.socket_dir.stat().st_mode & 0o077 == 0
    assert cluster.data_dir.stat().st_mode & 0o077 == 0


def test_the_owner_is_no_superuser_and_does_not_bypass_row_security(cluster):
    with psycopg.connect(cluster.owner_url()) as connection:
        rights = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert rights == (False, False, True, True)


def test_a_killed_server_starts_again_with_what_was_committed(cluster):
    _note(cluster, "committed")
    busy = psycopg.connect(cluster.owner_url())
    busy.execute("SELECT 1")
    cluster.process.kill()
    cluster.process.wait()
    cluster.start()
    busy.close()
    assert _notes(cluster) == ["committed"]


def test_a_server_that_outlived_its_launcher_is_ended_before_the_next_start(cluster, make_cluster):
    _note(cluster, "kept")
    cluster.stop()
    orphan_maker = textwrap.dedent(
        f"""
        import os, sys
        from pathlib import Path
        from aisuru_mistral.launcher import processes
        from aisuru_mistral.launcher.postgres import EmbeddedPostgres
        processes.die_with_parent = lambda number: None
        cluster = EmbeddedPostgres(Path({str(cluster.data_dir)!r}), durable=False)
        cluster.start()
        print(cluster.process.pid, flush=True)
        os._exit(9)
        """
    )
    made = subprocess.run(
        [sys.executable, "-c", orphan_maker], capture_output=True, text=True, check=False
    )
    orphan = int(made.stdout.split()[-1])
    identity = processes.Identity.of(orphan)
    assert identity is not None
    assert identity.is_alive()
    said: list[str] = []
    cluster._tell = said.append
    cluster.start()
    assert not identity.is_alive()
    assert cluster.process.pid != orphan
    assert _notes(cluster) == ["kept"]
    assert any("left behind" in line for line in said)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a death")
def test_a_server_does_not_outlive_a_killed_launcher(place):
    starter = textwrap.dedent(
        f"""
        import signal
        from pathlib import Path
        from aisuru_mistral.launcher.postgres import EmbeddedPostgres
        place = Path({str(place / "postgres")!r})
        cluster = EmbeddedPostgres(place, durable=False, tell=lambda line: None)
        cluster.start()
        print(cluster.process.pid, flush=True)
        signal.pause()
        """
    )
    launcher = subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    with launcher, launcher.stdout:
        server = processes.Identity.of(int(launcher.stdout.readline()))
        launcher.kill()
    assert server is not None
    deadline = time.monotonic() + 5
    while server.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not server.is_alive()


def test_a_stale_pid_file_that_names_another_living_process_is_no_obstacle(cluster):
    cluster.process.send_signal(signal.SIGKILL)
    cluster.process.wait()
    pid_file = cluster.data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    cluster.start()
    assert cluster.is_ready()


def test_a_directory_in_use_is_refused_and_left_alone(cluster, make_cluster):
    with pytest.raises(CannotStart, match="in use"):
        make_cluster().start()
    assert cluster.is_ready()


def test_several_clusters_run_at_once(make_cluster):
    clusters = [make_cluster(f"cluster-{number}") for number in range(3)]
    for cluster in clusters:
        cluster.start()
    assert all(cluster.is_ready() for cluster in clusters)
    assert len({cluster.socket_dir for cluster in clusters}) == 3


def test_a_path_too_long_for_a_socket_gets_one_elsewhere(make_cluster, place):
    name = "a-rather-long-folder-name-" * 4
    cluster = make_cluster(f"{name}/postgres")
    cluster.start()
    assert cluster.is_ready()
    assert place not in cluster.socket_dir.parents
    assert len(str(cluster.socket_dir)) < 80


def test_a_path_with_spaces_and_quotes_works(make_cluster):
    cluster = make_cluster("it's a place + more/postgres")
    cluster.start()
    with psycopg.connect(cluster.owner_url()) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("aim_owner",)


def test_data_of_another_major_version_is_refused_untouched(cluster):
    cluster.stop()
    version = cluster.data_dir / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(CannotStart, match="made by PostgreSQL 12"):
        cluster.start()
    assert version.read_text() == "12\n"
    cluster.release()


def test_a_folder_with_something_else_in_it_is_refused_untouched(make_cluster, place):
    (place / "postgres").mkdir()
    (place / "postgres" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(CannotStart, match="holds no PostgreSQL data"):
        make_cluster().start()
    assert [path.name for path in (place / "postgres").iterdir()] == ["holiday.jpg"]


def test_a_server_that_cannot_start_shows_the_end_of_its_log(cluster):
    cluster.stop()
    (cluster.data_dir / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(CannotStart, match="no_such_setting"):
        cluster.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_root_hands_the_server_to_a_user_without_rights_and_opens_no_more_than_the_way(cluster):
    assert cluster.data_dir.stat().st_uid != 0
    status = Path(f"/proc/{cluster.process.pid}/status").read_text()
    assert f"Uid:\t{cluster.data_dir.stat().st_uid}" in status
    way = cluster.data_dir.parent.stat().st_mode & 0o777
    assert way == 0o701
