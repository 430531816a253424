"""Images whose servers fail, each in a way of its own, and what is told of each; small ones, on one base or the other."""

from __future__ import annotations

import io
import re
import struct
import tarfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import docker

from xnathub_conf.standin import HubError, HubPlugin

_MEMORY = "32M"
# The head of a program for ARM, which this machine's kernel does not take.
_ARM = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
    "<HHIQQQIHHHHHH", 2, 183, 1, 64, 0, 0, 0, 64, 56, 0, 64, 0, 0
)


class Failing(NamedTuple):
    """An image, and what its server's failure is told with."""

    lines: str
    """Of its Dockerfile; B stands for busybox, S for the tests' own Jupyter server."""
    said: str
    files: Mapping[str, tuple[bytes, int]] = {}
    environment: Mapping[str, object] = {}


NOT_THERE = "The program that it should start is not in its image"

FAILING = {
    "no-jupyter": Failing('FROM B\nCMD ["jupyterhub-singleuser"]', NOT_THERE),
    "no-entry-point": Failing('FROM B\nENTRYPOINT ["/opt/start.sh"]\nCMD ["x"]', NOT_THERE),
    "not-executable": Failing(
        'FROM B\nCOPY start /start\nENTRYPOINT ["/start"]\nCMD ["x"]',
        "The program that it should start is not marked as one that can be run.",
        {"start": (b"#!/bin/sh\nexec sleep 600\n", 0o644)},
    ),
    "windows-lines": Failing(
        'FROM B\nCOPY start /start\nENTRYPOINT ["/start"]\nCMD ["x"]',
        "the first line of a script names it, and must not end as lines do on Windows.",
        {"start": (b"#!/bin/sh\r\nexec sleep 600\r\n", 0o755)},
    ),
    "other-processor": Failing(
        'FROM B\nCOPY start /start\nENTRYPOINT ["/start"]\nCMD ["x"]',
        "is made for another kind of processor",
        {"start": (_ARM, 0o755)},
    ),
    "no-command": Failing("FROM scratch\nCOPY note /note", "does not say what to start.", {"note": (b"x", 0o644)}),
    "unknown-user": Failing(
        'FROM B\nCMD ["sh", "-c", "whoami && exec sleep 600"]', "Its image does not know the user that it runs as."
    ),
    "no-home": Failing(
        "FROM S\nENV HOME=/proc/nowhere JUPYTERHUB_ROOT_DIR=/tmp\n"
        'ENTRYPOINT ["env", "-u", "XDG_CONFIG_HOME"]\nCMD ["jupyterhub-singleuser", "--allow-root"]',
        "/proc/nowhere",
    ),
    "port-taken": Failing(
        "FROM S\nCOPY taken.py /taken.py\n"
        'CMD ["sh", "-c", "python3 /taken.py & sleep 2; jupyterhub-singleuser"]',
        "Another program of its image has taken its port.",
        {"taken.py": (b"import socket, time\ntaken = socket.create_server(('', 8888))\ntime.sleep(600)\n", 0o644)},
    ),
    "other-port": Failing(
        'FROM B\nCMD ["httpd", "-f", "-p", "9999", "-h", "/tmp"]', "It runs, but nothing listens at port 8888"
    ),
    "out-of-memory": Failing(
        'FROM B\nCMD ["tail", "/dev/zero"]',
        f"It used more memory than it may, {_MEMORY}.",
        environment={"mem_limit": _MEMORY},
    ),
    "ends-at-once": Failing('FROM B\nCMD ["true"]', "Its command came to an end by itself, as no Jupyter server does."),
    "crashes": Failing(
        """FROM B\nCMD ["sh", "-c", "sh -c 'kill -SEGV $$'; exit $?"]""", "It crashed: a program in its image is broken"
    ),
    "no-module": Failing(
        'FROM S\nCMD ["python3", "-m", "jupyter_of_ours"]', "The Python module jupyter_of_ours is missing in its image."
    ),
    "no-configuration": Failing(
        'FROM B\nCMD ["sh", "-c", "cat /etc/site/jupyter.conf || exit 78"]', "There is no /etc/site/jupyter.conf in it."
    ),
}  # fmt: skip


def image_of(name: str) -> str:
    return f"xnathub-fails-{name}:test"


def build_failing(client: docker.DockerClient) -> list[str]:
    """Build all of these images, and return their names."""

    def build(name: str) -> str:
        failing = FAILING[name]
        lines = failing.lines.replace("FROM B", "FROM xnathub-busybox:test")
        lines = lines.replace("FROM S", "FROM xnathub-singleuser:test")
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            for file, (content, mode) in {"Dockerfile": (lines.encode(), 0o644), **failing.files}.items():
                entry = tarfile.TarInfo(file)
                entry.size, entry.mode = len(content), mode
                tar.addfile(entry, io.BytesIO(content))
        context.seek(0)
        client.images.build(fileobj=context, custom_context=True, tag=image_of(name), rm=True)
        return image_of(name)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(build, FAILING))


def told_of_all(plugin: HubPlugin, options: Callable[..., Any], user: str) -> dict[str, str]:
    """Start a server of each image, four at a time; return what the user reads of each.

    `options` stores what XNAT would answer for a user's server, and returns it.
    """
    plugin.ensure_user(user)

    def told(name: str) -> str:
        chosen = {"image": image_of(name), **FAILING[name].environment}
        asked = options(user, servername=name, **chosen)
        try:
            plugin.start(user, asked)
        except HubError as error:
            return str(error)
        # The hub closes a stream of events that is long without news.
        for _ in range(20):
            for event in plugin.progress(user, name):
                if event.get("failed"):
                    return str(event["message"])
                assert not event.get("ready"), f"{name} started"
        raise AssertionError(f"nothing was said of {name}")

    # All at once would be slower than the site's http_timeout on a busy machine, and that would be told in place of the cause.
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(FAILING, pool.map(told, FAILING), strict=True))


def silent(told: Mapping[str, str], log: str) -> list[str]:
    """Return what a failure's cause is not seen in: what the user reads, the hub's log, the audit's line."""
    missing = []
    for name, failing in FAILING.items():
        marks = f'"{name}"', f"server {name}:"
        lines = [line for line in log.splitlines() if any(mark in line for mark in marks)]
        audited = [line for line in lines if '"event": "start"' in line]
        logged = [line for line in lines if '"event"' not in line]
        for where, text in {
            "user": told[name],
            "audit": "\n".join(audited),
            "log": "\n".join(logged),
        }.items():
            if not re.search(re.escape(failing.said), text):
                missing.append(f"{name}, {where}: {text or '(nothing)'}")
    return missing
