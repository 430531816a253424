"""What a pod sees of its node, and what is made of it."""

import hashlib

import pytest

from xnathub_conf.doctor.nodes_seen import differ, faults
from xnathub_conf.doctor.on_node import seen
from xnathub_conf.standin import StandIn, demo_state

WELL = {
    "folders": {"/a": {"names": ["x"]}},
    "writable": {"/a/users": ""},
    "xnat": "",
    "hub": "",
    "clock": 0.4,
    "free": 2**40,
}


def test_what_is_there_is_seen(tmp_path):
    (tmp_path / "users" / "alice").mkdir(parents=True)
    folders = {"/data": str(tmp_path), "/none": str(tmp_path / "none")}
    with StandIn(demo_state()) as xnat:
        found = seen(
            {
                "folders": folders,
                "writable": {"/data/users": str(tmp_path / "users")},
                "xnat": xnat.url,
                "hub": "http://127.0.0.1:1",
            }
        )
    users = hashlib.sha256(b"users").hexdigest()[:12]
    assert found["folders"] == {"/data": {"names": [users]}, "/none": {"error": "No such file or directory"}}
    assert found["writable"] == {"/data/users": ""}
    assert (found["xnat"], found["hub"]) == ("", "Connection refused")
    assert abs(found["clock"]) < 60
    assert found["free"] > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"folders": {"/a": {"error": "Permission denied"}}}, ["/a can't be read: Permission denied"]),
        ({"writable": {"/a/users": "not writable for UID 1, owned by 0"}}, ["/a/users: not writable for UID 1, owned by 0"]),
        ({"xnat": "Connection refused", "clock": None}, ["no way to XNAT: Connection refused"]),
        ({"hub": "timed out"}, ["no way to the hub: timed out"]),
        ({"clock": -75.0}, ["its clock is -75 s off XNAT's"]),
        ({"free": 2**29}, ["its disk has 0.5 GiB left"]),
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be_is_told(changes, said):
    assert faults({**WELL, **changes}) == said


def test_folders_of_two_nodes_are_the_same_while_they_share_half():
    def folder(*names):
        return {"names": list(names)}

    assert not differ(folder("a", "b"), folder("a", "b", "c"))
    assert not differ(folder(), folder())
    assert differ(folder("a", "b"), folder())
    assert differ(folder("a", "b", "c"), folder("c", "d", "e"))
    assert not differ(folder("a"), {"error": "Permission denied"})
