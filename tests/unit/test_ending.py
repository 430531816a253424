"""Why a server that ran has ended, as its user reads it."""

import pytest

from xnathub_conf.launch.ending import exited
from xnathub_conf.launch.why_ended import why_in
from xnathub_conf.spawners.kubernetes_failures import pod_ending

GIB = 1024**3


@pytest.mark.parametrize(
    ("code", "options", "reason", "said"),
    [
        (137, {"out_of_memory": True, "mem_limit": 8 * GIB}, "out-of-memory", "more memory than it may, 8G, and"),
        (1, {"out_of_memory": True}, "out-of-memory", "It used too much memory, and was ended for that."),
        # A kernel that was ended for that, long before the server was shut down.
        (0, {"out_of_memory": True}, "exit", "It ended without an error"),
        (137, {"mem_limit": GIB}, "killed", "Most often that is for using more memory than it may, 1G."),
        (-9, {}, "killed", "It was killed, with exit code 137."),
        (143, {}, "killed", "told to end by somebody other than the hub"),
        (2, {"said": "no entry point. "}, "exit", "It ended by itself, with exit code 2. no entry point."),
        (None, {}, "exit", "It ended by itself."),
    ],
)  # fmt: skip
def test_an_end_in_a_sentence(code, options, reason, said):
    ending = exited(code, **options)
    assert ending.reason == reason
    assert said in ending.text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cp: error writing '/work space': No space left on device", "What it writes to is full."),
        ("cp: error writing '/w/new': No space left on device", "It has to write /w/new, and no room is left there."),
        ("mkdir: cannot create directory \u2018/w/d\u2019: Disk quota exceeded", "It has to write /w/d, and no room is left there."),
        ("sh: 1: cannot create /w/new: Disk quota exceeded", "It has to write /w/new, and no room is left there."),
        ("OSError: [Errno 28] No space left on device: '/w/.jupyter'", "It has to write /w/.jupyter, and no room is left there."),
        ("OSError: [Errno 122] Disk quota exceeded", "What it writes to is full."),
    ],
)  # fmt: skip
def test_a_folder_without_room_is_named_where_the_log_does(line, said):
    assert why_in(["starting", line, "bye"]) == said


def pod(status: dict) -> dict:
    container = {"name": "notebook", "resources": {"limits": {"memory": str(2 * GIB)}}}
    return {"spec": {"containers": [container]}, "status": status}


def container(**state) -> dict:
    return {"phase": "Running", "containerStatuses": [{"name": "notebook", "state": state}]}


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (container(terminated={"exitCode": 137, "reason": "OOMKilled"}), "out-of-memory", "it may, 2G,"),
        (container(terminated={"exitCode": 3, "reason": "Error"}), "exit", "with exit code 3."),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
            "node",
            "ended it: The node was low on resource: memory.",
        ),
    ],
)
def test_the_end_of_a_pod(status, reason, said):
    ending = pod_ending(pod(status))
    assert ending.reason == reason
    assert said in ending.text


def test_a_pod_that_lives_has_not_ended_and_one_that_is_gone_has():
    assert pod_ending(pod(container(running={}))) is None
    assert pod_ending(pod({"phase": "Pending"})) is None
    assert pod_ending(None).reason == "gone"
