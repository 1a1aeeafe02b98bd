"""`python -m bench.faults.slow_disk`: PostgreSQL's disk writes a few times a second, and no faster.

The cluster lies on a file system of its own in a file; the kernel's block throttle lets PostgreSQL
make so many writes a second on it (cgroup v1, `blkio.throttle.write_iops_device`; no device-mapper
is needed). Every fdatasync waits for its turn: what a saturated volume of a cloud looks like.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

from bench.faults import ground
from bench.faults.play import Scene, balance, scene

_MEGABYTES = 1536
_BLKIO = Path("/sys/fs/cgroup/blkio")
_BESIDE = 6.0
_SLOW = 20.0


@contextmanager
def _disk_in_a_file(folder: Path) -> Iterator[str]:
    """Mount a file system in a file; give its device's numbers."""
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(_MEGABYTES * 2**20)
    ground.run("mkfs.ext4", "-q", str(image))
    ground.run("mount", "-o", "loop", str(image), str(disk))
    try:
        yield ground.run("findmnt", "-no", "MAJ:MIN", str(disk)).strip()
    finally:
        ground.run("umount", "--lazy", str(disk))


@contextmanager
def _throttle(played: Scene, device: str, writes: int) -> Iterator[None]:
    """Give PostgreSQL so many writes a second, for a while."""
    group = _BLKIO / f"aim-{played.postgres.data_dir.parent.parent.parent.name}"
    group.mkdir()
    process = played.postgres.process
    assert process is not None
    try:
        (group / "blkio.throttle.write_iops_device").write_text(f"{device} {writes}")
        _move(process.pid, group)
        yield
    finally:
        _move(process.pid, _BLKIO)
        group.rmdir()


def _move(pid: int, group: Path) -> None:
    postmaster = psutil.Process(pid)
    for process in (postmaster, *postmaster.children(recursive=True)):
        with suppress(OSError):
            (group / "cgroup.procs").write_text(str(process.pid))


def _flushes(played: Scene) -> tuple[int, int]:
    """Count the commits and the WAL's flushes until now."""
    with psycopg.connect(played.postgres.superuser_url("bench"), autocommit=True) as superuser:
        found = superuser.execute(
            "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = 'bench'),"
            " (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal')"
        ).fetchone()
    assert found is not None
    return int(found[0]), int(found[1] or 0)


def main() -> None:
    """Play it, print, and judge."""
    parser = argparse.ArgumentParser(prog="bench.faults.slow_disk", description=__doc__)
    parser.add_argument("--writes", type=int, default=20, help="a second")
    arguments = parser.parse_args()
    ground.own_mounts()
    if not (_BLKIO / "blkio.throttle.write_iops_device").exists() and not _BLKIO.is_dir():
        ground.skip("no block throttle of cgroup v1 here")
    with tempfile.TemporaryDirectory(prefix="aim-slow-") as name:
        folder = Path(name)
        with _disk_in_a_file(folder) as device, scene(folder=folder / "disk" / "stage") as played:
            played.wait(_BESIDE)
            with _throttle(played, device, arguments.writes):
                played.wait(2, "turning slow")
                played.load.phase, before = "slow", _flushes(played)
                played.wait(_SLOW)
                after = _flushes(played)
                played.load.phase = "turning fast"
            played.wait(_BESIDE, "after")
            played.end_load()
            faults = balance(played)
    load = played.load
    load.tell()
    answered = load.count("200", "slow")
    commits, flushes = (after[place] - before[place] for place in (0, 1))
    print(
        f"{arguments.writes} writes a second for {_SLOW:.0f} s: {answered:,} calls answered,"
        f" {commits:,} commits, {flushes:,} flushes of the WAL"
    )
    if answered < 2 * arguments.writes * _SLOW:
        faults.append("calls wait for a flush each")
    faults += load.surprises()
    ground.judge(faults)


if __name__ == "__main__":
    main()
