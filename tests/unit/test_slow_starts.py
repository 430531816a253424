"""What is said of a start that takes too long, and what of its log."""

import asyncio
import logging

import pytest

from xnathub_conf.launch.failure import LaunchFailed
from xnathub_conf.launch.server_log import last_lines
from xnathub_conf.spawners.kubernetes_failures import pod_phase
from xnathub_conf.spawners.slow_starts import Phase, within_start_timeout


class Starting:
    """What a spawner says of its start."""

    start_timeout = 1
    log = logging.getLogger("test")

    def __init__(self, *lines: str, dead: bool = False):
        self.lines, self.dead = lines, dead
        self.cleared = False

    async def phase(self) -> Phase:
        assert not self.cleared, "what was made is gone before anybody looked"
        if self.dead:
            raise OSError("the engine is away")
        return Phase("slow-image", "The node n1 was still pulling.", "Try again.")

    async def server_log(self) -> tuple[str, ...]:
        return self.lines

    async def start(self) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            self.cleared = True


async def as_jupyterhub_waits(spawner: Starting) -> None:
    start = asyncio.ensure_future(within_start_timeout(spawner, spawner.start()))
    await asyncio.wait_for(start, timeout=spawner.start_timeout)


def test_a_start_out_of_time_says_what_it_was_at_and_which_key_gives_more():
    spawner = Starting("one <b>", "two")
    with pytest.raises(LaunchFailed) as caught:
        asyncio.run(as_jupyterhub_waits(spawner))
    failure = caught.value
    assert spawner.cleared
    assert failure.summary == (
        "Your server was not up after 1 s. The node n1 was still pulling. Try again. Tell your XNAT administrator. "
        "If it only needs longer, raise servers.start_timeout in site.yaml."
    )
    assert failure.jupyterhub_message.endswith("The last lines of the server's log:\none <b>\ntwo")
    assert "<pre>one &lt;b&gt;\ntwo</pre>" in failure.jupyterhub_html_message
    assert "\n" not in str(failure)
    assert "one <b> | two" in str(failure)


def test_an_orchestrator_that_says_nothing_holds_nothing_up():
    with pytest.raises(LaunchFailed, match="can't be told"):
        asyncio.run(as_jupyterhub_waits(Starting(dead=True)))


def test_a_hub_that_ends_is_no_slow_start():
    async def end_at_once() -> None:
        spawner = Starting()
        start = asyncio.ensure_future(within_start_timeout(spawner, spawner.start()))
        await asyncio.sleep(0.1)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert spawner.cleared

    asyncio.run(end_at_once())


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("see http://127.0.0.1:8888/lab?token=0123abcd&x=1", "see http://127.0.0.1:8888/lab?token=***&x=1"),
        ("Authorization: token abc def", "Authorization: ***"),
        ("using s3cr3t/alias to log in", "using *** to log in"),
        ("quoted s3cr3t%2Falias too", "quoted *** too"),
        ("mounting //u:p@ss/w", "mounting //u:p@ss/w"),
        ("git clone https://me:pw@host/x", "git clone https://***@host/x"),
        ("\x1b[31mred\x1b[0m\ttext\r", "red text"),
        ("x" * 1000, "x" * 240 + "..."),
    ],
)
def test_lines_of_a_log_are_short_plain_and_without_secrets(said, shown):
    assert last_lines(said.encode(), {"XNAT_PASS": "s3cr3t/alias", "LANG": "to log"}) == (shown,)


def test_of_a_long_log_the_last_lines_that_say_something():
    log = "\n".join(f"line {number}\n\n" for number in range(100)).encode() + b"\xff\xfe"
    lines = last_lines(log, {})
    assert (len(lines), lines[0], lines[-1]) == (50, "line 51", "\ufffd\ufffd")


PLACED = {"conditions": [{"type": "PodScheduled", "status": "True"}]}
WAITS = {"containerStatuses": [{"image": "i", "state": {"waiting": {"reason": "ContainerCreating"}}}]}
PULLING = {"reason": "Pulling", "message": 'Pulling image "xnat/big:1"'}
PHASES = {
    "Kubernetes had not made its pod yet": (None, []),
    "Kubernetes had chosen no node": ({}, []),
    "No node of the cluster can take the server: 0/1 nodes": (
        {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]},
        [],
    ),
    "The node n1 was still pulling the image xnat/big:1.": ({**PLACED, **WAITS}, [PULLING]),
    "still preparing its volumes and its network": (
        {**PLACED, **WAITS},
        [PULLING, {"reason": "Pulled", "message": ""}],
    ),
    "Its init container fetch had not ended": (
        {
            **PLACED,
            **WAITS,
            "initContainerStatuses": [{"name": "fetch", "image": "i", "state": {"running": {}}}],
        },
        [],
    ),
    "nothing listens at port 8888": (
        {**PLACED, "containerStatuses": [{"image": "i", "state": {"running": {}}}]},
        [],
    ),
    "The node can't mount a volume: no way.": (
        {**PLACED, **WAITS},
        [{"reason": "FailedMount", "message": "no way"}],
    ),
}


@pytest.mark.parametrize("text", PHASES)
def test_what_a_pod_is_at(text):
    status, events = PHASES[text]
    pod = status if status is None else {"status": status, "spec": {"nodeName": "n1", "containers": [{}]}}
    assert text in pod_phase(pod, events, 8888).text
