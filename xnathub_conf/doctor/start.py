"""Checks with a real server: a test user starts it the way XNAT's button does, looks around in it, and stops it again."""

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from xnathub_conf.doctor.examination import Check, Examination, Finding, failed, ok, skipped, warning
from xnathub_conf.doctor.http import NoAnswer
from xnathub_conf.doctor.hub import proxy_address
from xnathub_conf.doctor.inside import code_for, run_in_kernel
from xnathub_conf.doctor.probes import SPARE_SECONDS, ProbeServers
from xnathub_conf.launch.plan import LaunchPlan, PlanError
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.site.kinds import kind_of
from xnathub_conf.values.gpus import no_gpus
from xnathub_conf.values.secret import Secret, SecretError
from xnathub_conf.xnat.answers import XnatError, XnatNotFound

PASSWORD_VARIABLE = "XNATHUB_TEST_PASSWORD"  # noqa: S105 - its name
Planned = Callable[[str, str], Awaitable[LaunchPlan]]


@dataclass(frozen=True)
class ProbeStart:
    """What to start: on which project, with the password of the user, and how many at once in the end; 0 is none."""

    project: str
    password: Secret
    load: int = 0


class StartChecks:
    """The checks of a start. `close` stops whatever they have started."""

    def __init__(self, examination: Examination, test: ProbeStart, planned: Planned):
        """Take what asks XNAT for the plan of a user's server, and checks it."""
        self._examination = examination
        self._site = examination.site
        self._test = test
        self._planned = planned
        self._user = examination.user or ""
        self._servers = ProbeServers(examination, test.project)
        self._name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")[:-3] + "Z"
        self._server: dict[str, Any] = {}
        self._plan: LaunchPlan | None = None
        self._seen: dict[str, Any] = {}
        self._token = ""

    def checks(self) -> list[Check]:
        """List the checks in their order; each takes as long as a start may."""
        limit = self._servers.limit + 2 * SPARE_SECONDS
        load = [Check("start.load", self.load, ("start.ready",), limit)] if self._test.load else []
        return [
            Check("start.sign_in", self.sign_in, ("xnat.answers", "hub.scopes")),
            Check("start.environment", self.environment, ("start.sign_in",)),
            Check("start.plan", self.begin, ("start.environment",)),
            Check("start.ready", self.ready, ("start.plan",), limit),
            Check("start.mounts", self.mounts, ("start.ready",)),
            Check("start.user", self.owner, ("start.mounts",)),
            Check("start.gpu", self.gpu, ("start.mounts",)),
            Check("start.xnat", self.xnat, ("start.mounts",)),
            Check("start.stop", self.stop, ("start.plan",), limit),
            *load,
        ]

    async def close(self) -> None:
        """Stop what still runs."""
        await self._servers.close()

    async def sign_in(self) -> Finding:
        """The test user signs in to XNAT."""
        try:
            password = self._examination.read(self._test.password)
        except SecretError as error:
            return failed(
                str(error).partition(". ")[0] + ".",
                f"Name its file with --password, or set {PASSWORD_VARIABLE}.",
            )
        began = time.monotonic()
        try:
            name, status = await self._servers.sign_in(password)
        except NoAnswer as error:
            return failed(f"XNAT does not answer: {error}.", "See XNAT's own log.", ("xnat", "url"))
        if name != self._user:
            return failed(
                f"XNAT does not take {self._user} with this password ({status}).",
                "Correct the name, spelt as XNAT does, or the password. It is not tried again.",
            )
        return ok(f"{self._user} signs in to XNAT, in {_since(began)}.")

    async def environment(self) -> Finding:
        """XNAT offers the test user an environment and hardware."""
        scope = {"type": "JUPYTERHUB", "site": "XNAT", "user": self._user, "prj": self._test.project}
        do = "In XNAT's Jupyter settings, give the user or the project a Jupyter environment with hardware."
        try:
            answer = await self._servers.xnat(
                "GET", f"/xapi/compute-environments/available?{urlencode(scope)}"
            )
            offered = json.loads(answer.body)[0]
            hardware = offered["hardwareOptions"]["hardwareConfigs"][0]
            self._servers.ids = {
                "computeEnvironmentConfigId": offered["id"],
                "hardwareConfigId": hardware["id"],
            }
            names = offered["computeEnvironment"]["name"], hardware["hardware"]["name"]
        except NoAnswer as error:
            return failed(f"XNAT does not answer: {error}.", "See XNAT's own log.")
        except (ValueError, LookupError, TypeError):
            return failed(f"XNAT offers {self._user} nothing to start on {self._test.project}.", do)
        return ok(f"XNAT offers {names[0]} on {names[1]}, the first of each.")

    async def begin(self) -> Finding:
        """XNAT takes the order, and what it stores for the server is what the site allows."""
        began = time.monotonic()
        refused = await self._servers.begin(self._name)
        if refused:
            return failed(refused, f"See that {self._user} may read {self._test.project} and start Jupyter.")
        for _ in range(20):
            try:
                self._plan = await self._planned(self._user, self._name)
                break
            except XnatNotFound:
                await asyncio.sleep(0.5)
            except (PlanError, PolicyRefusal, XnatError) as error:
                return failed(f"The hub does not start it: {error}", "Do what is said, or change the site.")
        if self._plan is None:
            return failed("XNAT took the order, and stored nothing to start.", "See XNAT's jupyterhub.log.")
        return ok(f"XNAT asks for {self._plan.image}, and the rules allow it, in {_since(began)}.")

    async def ready(self) -> Finding:
        """The hub starts the server, and it answers."""
        try:
            seconds, problem, server = await self._servers.wait_ready(self._name)
        except NoAnswer as error:
            return failed(f"The hub does not answer: {error}.", "See the hub's log.")
        if problem:
            return failed(
                problem,
                "See Troubleshooting, and the hub's log. Where XNAT asks for none: XNAT's jupyterhub.log, and the "
                "JupyterHub API URL in its settings, as `xnathub plugin` says.",
            )
        self._server = server
        return ok(f"The server is ready, {seconds:.1f} s after XNAT was asked for it.")

    async def mounts(self) -> Finding:
        """A kernel runs in the server, and sees its mounts: data can be read, the workspace written."""
        began = time.monotonic()
        assert self._plan is not None
        local = kind_of(self._site).own_processes
        origin = proxy_address(self._examination)
        server = f"{origin}{self._server['url'].rstrip('/')}"
        try:
            self._token = await self._servers.make_token()
            made = await self._servers.call(f"{server}/api/kernels", self._token, "POST", {})
            if made.code != 201:
                return failed(
                    f"The server starts no kernel ({made.code} {made.reason}).",
                    "See its log: docker logs, or kubectl logs. A dashboard has no kernels.",
                )
            kernel = json.loads(made.body)["id"]
            self._seen = await run_in_kernel(
                f"{server}/api/kernels/{kernel}/channels", self._token, code_for(self._plan, local=local)
            )
        except (NoAnswer, OSError) as error:
            return failed(f"The server can't be looked into: {error}.", "See its log.")
        except Exception as error:  # noqa: BLE001 - tornado raises many kinds where a handshake fails
            return failed(
                f"The server's kernel can't be reached: {error}.", "See that websockets get through."
            )
        wrong: list[str] = []
        for told, mount in zip(self._seen["mounts"], self._plan.mounts, strict=True):
            if told["read"] not in {"file", "empty"}:
                wrong.append(f"{mount.target} can't be read ({told['read']})")
            elif mount.read_only and told["write"] == "ok" and not local:
                wrong.append(f"{mount.target} can be written, which it should not")
            elif not mount.read_only and told["write"] != "ok":
                wrong.append(f"{mount.target} can't be written ({told['write']})")
        if wrong:
            return failed(
                f"{'; '.join(wrong)}.",
                "See the owner of the folders, servers.uid and servers.gid, and the paths.",
                ("servers", "uid"),
            )
        read = sum(told["read"] == "file" for told in self._seen["mounts"])
        written = sum(not mount.read_only for mount in self._plan.mounts)
        said = (
            f"A kernel looked around, in {_since(began)}: a file was read in {read} of {len(self._plan.mounts)} mounts, "
            f"one written in {written}."
        )
        if not read and self._plan.mounts:
            return warning(said, "Choose a project that has files, to see that they can be read.")
        return ok(said)

    async def owner(self) -> Finding:
        """The server runs as the site says."""
        servers, seen = self._site.servers, (self._seen["uid"], self._seen["gid"])
        if kind_of(self._site).own_processes:
            return skipped("Local servers run as the hub does.")
        if seen != (servers.uid, servers.gid):
            return failed(
                f"The server runs as {seen[0]}:{seen[1]}, not as {servers.uid}:{servers.gid}.",
                "See whether the image changes its user by itself.",
                ("servers", "uid"),
            )
        return ok(f"The server runs as {seen[0]}:{seen[1]}.")

    async def gpu(self) -> Finding:
        """A GPU is there where XNAT asks for one, and none otherwise."""
        assert self._plan is not None
        # What hides GPUs is left out where one is granted.
        wanted = not no_gpus(self._plan.generic_resources)
        found = self._seen["gpus"]
        if wanted and not found:
            return failed(
                "XNAT asks for a GPU, and the server has none.",
                "See the GPU runtime of the node, and docs/gpus.md.",
            )
        if found and not wanted and not kind_of(self._site).own_processes:
            return warning(
                f"The server sees {found} GPU devices that XNAT did not ask for.",
                "See the default runtime of the nodes.",
            )
        return ok(f"XNAT asks for {'a GPU' if wanted else 'no GPU'}, and the server has {found} devices.")

    async def xnat(self) -> Finding:
        """The server reaches XNAT with the alias token that it was given."""
        if problem := self._seen.get("xnat_error"):
            return failed(
                f"The server does not reach XNAT: {problem}.",
                "See XNAT's address in its site settings, certificates (servers.ca_file), and the network of servers.",
            )
        who = self._seen["xnat_user"]
        if who != self._user:
            return failed(f"XNAT takes the server's alias token for {who}.", "See XNAT's log.")
        return ok(f"The server reaches XNAT as {who}, in {self._seen['xnat_seconds']} s.")

    async def stop(self) -> Finding:
        """XNAT stops the server, and the hub has it no more."""
        began = time.monotonic()
        try:
            left = await self._servers.stop_all(self._site.servers.stop_timeout + SPARE_SECONDS)
        except NoAnswer as error:
            return failed(f"The server can't be stopped: {error}.", "Stop it on the hub's page.")
        if left:
            return failed("The server does not stop.", "See the hub's log, and stop it on the hub's page.")
        return ok(f"The server is stopped, in {_since(began)}.")

    async def load(self) -> Finding:
        """So many servers start at once."""
        number = self._test.load
        names = [f"{self._name[:-1]}{index:04}Z" for index in range(number)]
        began = time.monotonic()

        async def one(name: str) -> tuple[float, str]:
            if refused := await self._servers.begin(name):
                return time.monotonic() - began, refused
            seconds, problem, _ = await self._servers.wait_ready(name)
            return seconds, problem

        results = await asyncio.gather(*map(one, names), return_exceptions=True)
        told = [
            (time.monotonic() - began, str(each)) if isinstance(each, BaseException) else each
            for each in results
        ]
        good = sorted(seconds for seconds, problem in told if not problem)
        await self._servers.stop_all(self._servers.limit)
        took = (
            f", after {statistics.median(good):.1f} s in the middle and {good[-1]:.1f} s at most"
            if good
            else ""
        )
        if len(good) == number:
            return ok(f"{number} servers started at once were ready{took}.")
        why = Counter(problem for _, problem in told if problem)
        reasons = "; ".join(f"{count} times: {problem}" for problem, count in why.most_common(3))
        return failed(
            f"{len(good)} of {number} servers started at once were ready{took}; the {len(good) + 1}. was not. {reasons}",
            "See servers.concurrent_starts, the nodes' room, XNAT's limit of servers for a user and hub.named_server_limit_per_user.",
            ("servers", "concurrent_starts"),
        )


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
