"""Workspaces that take nothing more, each in a way of its own, and servers that open on them all the same."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.docker.testbed import wait_for

FULL = "It has to write {}, and no room is left there."
NOT_WRITABLE = "The user that it runs as may not use {}, or it is read-only."


KINDS = {
    "space": errno.ENOSPC,
    "inodes": errno.ENOSPC,
    "quota": errno.EDQUOT,
    "a way to write": errno.EROFS,
}
"""What a folder is without, and what who writes there is told."""


def run(*words: str | Path) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=120)


@contextmanager
def mounted(folder: Path, *how: str | Path) -> Iterator[None]:
    """Have something else where a user's folder is, with the same owner."""
    owner = folder.stat()
    run("mount", *how, folder)
    try:
        os.chown(folder, owner.st_uid, owner.st_gid)
        yield
    finally:
        run("umount", "--lazy", folder)


def fill(folder: Path, *, files: bool) -> None:
    """Write until there is no more room, for files or for what is in them."""
    with suppress(OSError):
        for number in range(100):
            (folder / f"file-{number}").touch()
            while not files:
                with (folder / f"file-{number}").open("ab", buffering=0) as file:
                    file.write(b"0" * 4096)
                    os.fsync(file)


@contextmanager
def without(what: str, folder: Path, made_in: Path) -> Iterator[None]:
    """Have a user's folder be one without space, inodes or room in a quota, or read-only."""
    with ExitStack() as stack:
        if what == "quota":
            # The kernel's quotas of users are no part of every kernel; those of btrfs are.
            if not shutil.which("mkfs.btrfs"):
                run(Path(__file__).parents[1] / "scripts/packages", "btrfs-progs")
            disk, top = made_in / "quota.img", made_in / "quota"
            top.mkdir()
            stack.callback(shutil.rmtree, top)
            disk.write_bytes(b"")
            stack.callback(disk.unlink)
            os.truncate(disk, 128 << 20)
            run("mkfs.btrfs", "--quiet", disk)
            stack.enter_context(mounted(top, "-o", "loop", disk))
            run("btrfs", "quota", "enable", top)
            run("btrfs", "subvolume", "create", top / "of-a-user")
            run("btrfs", "qgroup", "limit", "1M", top / "of-a-user")
            stack.enter_context(mounted(folder, "--bind", top / "of-a-user"))
        else:
            inodes = 16 if what == "inodes" else 1000
            stack.enter_context(mounted(folder, "-t", "tmpfs", "-o", f"size=64k,nr_inodes={inodes}", "none"))
        if what == "a way to write":
            run("mount", "-o", "remount,ro", folder)
        else:
            fill(folder, files=what == "inodes")
        with pytest.raises(OSError, match=os.strerror(KINDS[what])):
            (folder / "probe").write_bytes(b"0" * 8192)
        yield


def opens_all_the_same(site: Any, user: str, made_in: Path) -> None:
    """Start servers on each kind of such a workspace: they work, and one whose program has to write there says where."""
    folder = site.workspace(user)
    seconds = {}
    for what in KINDS:
        with without(what, folder, made_in):
            began = time.monotonic()
            site.start(user)
            seconds[what] = time.monotonic() - began
            page = site.sign_in(user).get(f"{site.url}/user/{user}/lab", timeout=60)
            assert (page.status_code, "JupyterLab" in page.text) == (200, True)
            assert site.execute(user, "print(6 * 7)") == "42\n"
            site.plugin.stop(user, "")
            wait_for(lambda: not site.servers(), 120)
            began = time.monotonic()
            copies = f"sh -c 'cp /etc/passwd /workspace/{user}/new && exec sleep 600'"
            said = site.failure(user, command=copies)
            seconds[f"{what}, told"] = time.monotonic() - began
            reason = NOT_WRITABLE if what == "a way to write" else FULL
            assert reason.format(f"/workspace/{user}/new") in str(said)
            wait_for(lambda: not site.servers(), 120)
    print(f"seconds to a server, or to the sentence: {seconds}")
