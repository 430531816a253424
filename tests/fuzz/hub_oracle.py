"""Finds out whether a hub starts from a site file, by really setting up JupyterHub with it: no shortcut of ours is taken.

`python -m tests.fuzz.hub_oracle` reads names of folders, one a line, each with a `site.yaml`, and answers each with a line:
`starts`, or what stopped it. Each hub is set up in a process of its own, forked when all is imported: JupyterHub's
application with its configuration, database, users, roles, services, handlers and proxy, then the spawner of a user and
what it is asked for at each start of the hub. Left out are the sockets, and the proxy's program.
"""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path

from xnathub_conf.shipped import shipped

KUBECONFIG = {
    "current-context": "x",
    "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "x", "user": {}}],
    "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
}
CPU_SECONDS = 60
MEMORY_BYTES = 4 * 1024**3


class HubOracle:
    """A process that sets up hubs, to be asked again and again."""

    def __init__(self, environment: dict[str, str]):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.hub_oracle"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, **environment},
        )

    def ask(self, folder: Path) -> str:
        """Return `starts`, or the error that the hub of the folder's site.yaml ends with."""
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the oracle's process has ended"
        return json.loads(answer)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)


def _set_up(folder: str) -> str:
    from jupyterhub import orm
    from jupyterhub.app import JupyterHub

    os.chdir(folder)
    Path("kubeconfig").write_text(json.dumps(KUBECONFIG))
    from kubernetes_asyncio.config import kube_config

    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = str(Path("kubeconfig").resolve())
    os.environ["XNATHUB_SITE"] = str(Path("site.yaml").resolve())

    async def initialized() -> None:
        app = JupyterHub()
        config = shipped("jupyterhub_config.py")
        await app.initialize(["--config", str(config)])
        row = orm.User(name="someone")
        app.db.add(row)
        app.db.commit()
        user = app.users[row]
        spawner = user.spawners[""]
        spawner.get_env()
        spawner.get_state()

    asyncio.run(initialized())
    return "starts"


def _in_child(folder: str) -> str:
    import resource

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        answer = "ended without a word"
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            with (
                Path(os.devnull).open("w") as nothing,
                contextlib.redirect_stdout(nothing),
                contextlib.redirect_stderr(nothing),
            ):
                logging.disable()
                answer = _set_up(folder)
        except BaseException:  # noqa: BLE001 - whatever ends a hub is the answer
            answer = traceback.format_exc()
        finally:
            os.write(write, answer[-60_000:].encode())
            os._exit(0)
    os.close(write)
    with open(read, encoding="utf-8") as pipe:  # noqa: PTH123
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return answer or f"killed with status {status}"


def _main() -> None:
    import dockerspawner  # noqa: F401
    import jupyterhub.app  # noqa: F401
    import kubespawner  # noqa: F401

    import xnathub_conf.hub.configure  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(_in_child(line.rstrip("\n"))), flush=True)


if __name__ == "__main__":
    _main()
