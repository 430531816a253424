"""Databases that fail: an SQLite file on a disk that gets full, and a real PostgreSQL. They need root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import cannot_test, free_port, install


def must(done: subprocess.CompletedProcess) -> None:
    if done.returncode:
        cannot_test("database", f"{done.args} gave {done.returncode}:\n{done.stdout}{done.stderr}")


def command(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True)


@dataclass(frozen=True)
class SmallDisk:
    """A disk of its own, which can be filled to the last byte and emptied again."""

    folder: Path

    def fill(self) -> None:
        with (self.folder / "filler").open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def free(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    must(command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder))
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL of the tests' own, run by its system user."""

    programs: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://hub:secret-of-the-database@127.0.0.1:{self.port}/hub"

    def control(self, *words: str) -> None:
        done = self._run(
            "pg_ctl",
            *("--pgdata", self.folder / "data", "--wait", "--silent", "--log", self.folder / "log"),
            *("--options", f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"),
            *words,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def create(self) -> None:
        must(self._run("initdb", "--pgdata", self.folder / "data", "--auth=trust", "--no-sync"))
        self.control("start")
        for sql in (
            "create role hub login password 'secret-of-the-database'",
            "create database hub owner hub",
        ):
            done = self._run("psql", "-h", self.folder, "-p", self.port, "-d", "postgres", "-c", sql)
            assert done.returncode == 0, done.stderr

    def _run(self, program: str, *words: object) -> subprocess.CompletedProcess:
        # A server that goes on must not hold the pipes open.
        return subprocess.run(
            ["runuser", "-u", "postgres", "--", self.programs / program, *map(str, words)],
            stdout=(out := (self.folder / "out").open("w+")),
            stderr=out,
            text=True,
            cwd="/",
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    def programs() -> list[Path]:
        return sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))

    if not programs():
        install("database", "postgresql")
    # PostgreSQL's own user can't look into pytest's folders.
    folder = Path(f"/var/tmp/xnathub-postgres-{os.getpid()}")
    folder.mkdir()
    shutil.chown(folder, "postgres", "postgres")
    server = Postgres(programs()[-1].parent, folder, free_port())
    try:
        server.create()
        yield server
    finally:
        subprocess.run(
            [
                "runuser",
                "-u",
                "postgres",
                "--",
                server.programs / "pg_ctl",
                "--pgdata",
                folder / "data",
                "stop",
                "-m",
                "immediate",
            ]
        )
        shutil.rmtree(folder)
