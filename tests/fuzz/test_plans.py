"""Whatever XNAT answers: what passes the policy mounts, names and runs nothing that the site does not allow.

What is allowed is judged here by the standard library's paths and by lists of this file, not by the code under test.
"""

import copy
import json
import os.path
import re
import string

from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.bounds import bounded, fuzz, judge_text
from tests.fuzz.docker_reference import docker_reads
from tests.fuzz.strategies import ANYTHING, ODD_TEXT
from tests.unit.helpers import SAMPLE, loaded, site_text
from xnathub_conf.launch.plan import ITEM_KEYS, PlanError, flat_item, read_plan
from xnathub_conf.launch.policy import Policy, PolicyRefusal
from xnathub_conf.spawners.containers import container_environment, object_labels
from xnathub_conf.spawners.kubernetes_pod import claim_volumes, node_expressions
from xnathub_conf.values.paths import PathTranslation
from xnathub_conf.values.variables import refused
from xnathub_conf.xnat.answers import Answer, XnatBadAnswer

_CLAIMS = [
    {"path": "/data/xnat", "claim_name": "all"},
    {"path": "/data/xnat/archive", "claim_name": "archive"},
    {"path": "/srv", "claim_name": "srv"},
]
_RULES = {
    "archive": [{"from": "/data/xnat/archive", "to": "/srv/archive"}],
    "workspaces": [{"from": "/data/xnat/workspaces", "to": "/srv/ws"}],
}


class Rules:
    """One site, and what it allows in terms of this file."""

    def __init__(self, shared, own, targets=("/data", "/workspace"), **changes):
        self.shared, self.own, self.targets = shared, own, targets
        mounts = [{"path": path} for path in shared] + [
            {"path": path, "writable": writable} for path, writable in own.items()
        ]
        environment = {"TZ": "Europe/Berlin"}
        self.site = loaded(
            site_text(
                servers__allowed_mounts=mounts,
                servers__allowed_mount_targets=list(targets),
                servers__environment=environment,
                servers__caps={"cpu": 8, "mem": "16G", "generic_resources": {"gpu": 2}},
                servers__uid=1234,
                orchestrator={"kubernetes": {"claims": _CLAIMS}},
                **changes,
            )
        ).site
        self.policy = Policy(self.site)
        self.translate = PathTranslation(
            {rule.from_: rule.to for rule in (*self.site.paths.archive, *self.site.paths.workspaces)}
        )


SITES = (
    Rules(["/data/xnat/archive"], {"/data/xnat/workspaces/users/{username}": True}),
    Rules(["/srv/archive"], {"/srv/ws/users/{username}": True}, paths=_RULES),
    Rules(["/data/xnat/archive", "shared"], {"home-{username}": True, "/data/xnat/u/{username}/x": False}),
    Rules([], {"/data/xnat/archive/{username}": True}, targets=("/workspace/a",)),
)

_USERS = st.sampled_from(
    ["alice", "alice", "a/b", "a/b", "alice/x", "Alice", "bob", "a.b@c.org", "..", ".", "", "alice/../bob", "/", "{username}", "archive", "users", "*", "é", "x"]
)  # fmt: skip
_PARTS = st.sampled_from(
    ["data", "xnat", "archive", "workspaces", "users", "u", "srv", "ws", "alice", "Alice", "bob", "{username}", "P1", "..", ".", "",
     "x", "etc", "...", "\0", "\n", "\uff0e\uff0e", "alice\u200b", "a.b@c.org", "é"]
)  # fmt: skip
_SUFFIXES = st.lists(_PARTS, max_size=2).map(lambda parts: "".join(f"/{part}" for part in parts))
_GOOD_TARGETS = st.sampled_from(["/data/1", "/data/2", "/workspace/a", "/workspace/a/b"])
_TARGETS = st.sampled_from(
    ["/data", "/workspace", "/", "/etc", "/usr/lib", "/proc", "/var/run/docker.sock", "/data/..", "/workspace/../etc", "//data/1",
     "/database", "/workspace/a/./b", "/data\0", "/home/jovyan", "data"]
) | st.builds("{}{}".format, _GOOD_TARGETS, _SUFFIXES) | ODD_TEXT  # fmt: skip


def _mounts(rules, username):
    """Mounts most of which could pass for a user, and others next to them."""
    roots = [
        root.replace("{username}", who)
        for root in (*rules.shared, *rules.own)
        for who in (username, username, username, "bob", "alice/x", "{username}")
    ]
    own = st.sampled_from(roots)
    near = st.builds("{}{}".format, own, st.just("2") | _SUFFIXES)
    odd = st.sampled_from(
        [
            "/",
            "/etc",
            "/var/run/docker.sock",
            "/data/xnat",
            "/srv/ws/users",
            "//data/xnat/archive",
            "/data/xnat/archive/..",
        ]
    )
    kinds = st.sampled_from(["bind", "volume", None, "tmpfs", "BIND"])

    def mount(source, kind, target, read_only):
        fitting = "bind" if source.startswith("/") else "volume"
        read_only = {} if read_only == "left out" else {"read_only": read_only}
        return {
            "source": source,
            "type": fitting if kind == "fitting" else kind,
            "target": target,
            **read_only,
        }

    return st.lists(
        st.builds(
            mount,
            own | own | own | own | own | own | near | near | odd | _SUFFIXES | ODD_TEXT,
            st.just("fitting") | st.just("fitting") | st.just("fitting") | st.just("fitting") | kinds,
            _GOOD_TARGETS | _GOOD_TARGETS | _TARGETS,
            st.sampled_from([True, True, False, False, None, 0, "false", "left out"]),
        ),
        max_size=2,
    )


_NAMES = st.sampled_from(
    ["XNAT_HOST", "JUPYTERHUB_ROOT_DIR", "JUPYTERHUB_DEFAULT_URL", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_PREFIX", "NB_UID", "NB_GID",
     "NB_USER", "nb_uid", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "PATH", "HOME", "TZ", "A=B", "A\nB", "é", "",
     " NB_UID", "NB_UID ", "JUPYTERHUB_API_TOKEN\0"]
)  # fmt: skip
_AMOUNTS = st.sampled_from(
    ["8G", "2g", "16G", "17G", "", None, 0, -1, 1, 4.0, 8, 9, float("nan"), float("inf"), 1e300, 10**30, "1e9", "-1G", True, "8 Gi", "9" * 40]
)  # fmt: skip


@st.composite
def _launches(draw):
    """A site, a user, and the contract's answer with mounts of every kind, most of which could pass."""
    rules, username, answer = draw(st.sampled_from(SITES)), draw(_USERS), copy.deepcopy(SAMPLE)
    answer["task_template"]["container_spec"]["mounts"] = draw(_mounts(rules, username))
    return rules, username, answer


@st.composite
def _answers(draw):
    """The contract's answer with something else than mounts changed, now and then to anything at all."""
    answer = copy.deepcopy(SAMPLE)
    spec = answer["task_template"]["container_spec"]
    what = draw(st.sampled_from(["env", "env", "image", "command", "resources", "constraints", "anything"]))
    if what == "env":
        names = st.sampled_from(["A", "B", "XNAT_PASS"]) | _NAMES | ODD_TEXT
        values = st.sampled_from(["x", "/data", "x\0y", "\n"]) | ODD_TEXT | st.none()
        spec["env"] = draw(st.dictionaries(names, values, min_size=1, max_size=2))
    elif what == "image":
        image = st.sampled_from(["xnat/a", "docker.io/xnat/a", "evil.org/xnat/a", "xnat/a/b", "Xnat/a"])
        version = st.sampled_from(["", ":1", ":latest", "@sha256:" + "0" * 64]) | ODD_TEXT
        spec["image"] = draw(st.builds("{}{}".format, image, version) | ODD_TEXT)
    elif what == "command":
        spec["command"] = draw(ODD_TEXT | st.text(string.printable, max_size=30))
    elif what == "resources":
        keys = ("cpu_limit", "cpu_reservation", "mem_limit", "mem_reservation")
        answer["task_template"]["resources"] = draw(st.fixed_dictionaries(dict.fromkeys(keys, _AMOUNTS)))
    elif what == "constraints":
        constraint = st.builds("{}{}{}".format, _PARTS, st.sampled_from(["==", "!=", "=", ""]), ODD_TEXT)
        answer["task_template"]["placement"] = {"constraints": draw(st.lists(constraint, max_size=3))}
    else:
        node = answer
        while True:
            key = draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
            if not (isinstance(node[key], dict | list) and node[key] and draw(st.booleans())):
                node[key] = draw(ANYTHING)
                break
            node = node[key]
    return answer


def check_answer(rules: Rules, username: str, answer) -> bool:
    """Take an answer of XNAT as before a spawn, and judge the plan. Gives whether it passed."""
    with bounded():
        try:
            plan = read_plan(answer, username, "", rules.translate)
            plan = rules.policy.check(plan)
        except (PlanError, PolicyRefusal) as error:
            judge_text(error)
            return False
        judge(rules, username, plan)
        repr(plan).encode()
        json.dumps(object_labels(plan, rules.site))
        try:
            _judge_claims(claim_volumes(plan.mounts, rules.site.orchestrator.claims))
            node_expressions(plan.constraints)
        except PolicyRefusal as error:
            judge_text(error)
    return True


def _inside(path, folder):
    return os.path.commonpath([path, folder]) == folder


def judge(rules, username, plan):
    """Fail where a plan that passed holds what the site does not allow."""
    targets = []
    for mount in plan.mounts:
        own = {
            path.replace("{username}", username): writable
            for path, writable in rules.own.items()
            if username not in {"", ".", ".."} and "/" not in username
        }
        if mount.kind == "volume":
            assert "/" not in mount.source
            assert mount.source in {*rules.shared, *own}
            may_write = own.get(mount.source, False)
        else:
            assert mount.kind == "bind"
            assert _plain(mount.source)
            assert any(_inside(mount.source, root) for root in (*rules.shared, *own) if root.startswith("/"))
            # What lies inside may be a link that its user made.
            may_write = own.get(mount.source, False)
            for template in rules.own:
                above = template.partition("/{username}")[0]
                if (
                    template.startswith("/")
                    and _inside(mount.source, above)
                    and not any(_inside(mount.source, root) for root in rules.shared if root.startswith("/"))
                ):
                    assert mount.source.removeprefix(above).split("/")[1] == username
        assert may_write or mount.read_only is True
        assert _plain(mount.target)
        assert any(_inside(mount.target, folder) for folder in rules.targets)
        assert not re.match("/(etc|usr|proc|sys|dev|bin|sbin|lib|run|var|root|opt)?(/|$)", mount.target)
        targets.append(mount.target)
    assert len(set(targets)) == len(targets)
    for name, value in plan.environment.items():
        assert re.fullmatch("[A-Za-z0-9_.-]+", name)
        assert refused(name, "xnat") is None
        assert "\0" not in value
        value.encode()
    assert plan.environment["TZ"] == "Europe/Berlin"
    assert container_environment(plan, rules.site.servers)["NB_UID"] == "1234"
    registry, path = docker_reads(plan.image)[:2]
    assert registry == "docker.io"
    assert path.split("/")[0] == "xnat"
    assert path.count("/") == 1
    for word in plan.command or ():
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", word)
        word.encode()
    assert 0 < plan.cpu_limit <= 8
    assert 0 < plan.mem_limit <= 16 * 1024**3
    assert (plan.cpu_guarantee or 0) <= plan.cpu_limit
    assert (plan.mem_guarantee or 0) <= plan.mem_limit
    for name, amount in plan.generic_resources.items():
        assert 0 < (1 if isinstance(amount, str) else amount) <= {"gpu": 2}[name]
    for constraint in plan.constraints:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*(==|!=)(\S([^\x00-\x1f]*\S)?)?", str(constraint))
    _judge_item(plan.item)


def _plain(path):
    """Return whether a path is absolute and in the one form that nothing on the way to the kernel can read otherwise."""
    return (
        path.startswith("/")
        and not path.startswith("//")
        and os.path.normpath(path) == path
        and ".." not in path.split("/")
        and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", path)
    )


def _judge_claims(volumes):
    names = {volume["name"]: volume["persistentVolumeClaim"] for volume in volumes.volumes}
    for mount in volumes.mounts:
        path = mount.get("subPath", "x")
        assert path
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        assert mount.get("readOnly") or "readOnly" not in names[mount["name"]]


def _judge_item(item):
    """The facts that the hub keeps and shows are flat, short, and can be written down."""
    assert set(item) <= set(ITEM_KEYS)
    for value in item.values():
        assert value is None or type(value) in {str, int, float, bool}
        assert len(str(value)) <= 1000
    json.dumps(item, allow_nan=False, ensure_ascii=False).encode()


_OWN = "/data/xnat/workspaces/users/"


_ASKS_FOR_A_FOLDER_OF_ANOTHERS = copy.deepcopy(SAMPLE)
_ASKS_FOR_A_FOLDER_OF_ANOTHERS["task_template"]["container_spec"]["mounts"] = [
    {"source": f"{_OWN}alice/x", "target": "/data/a", "type": "bind", "read_only": False}
]
_ASKS_FOR_A_PATH_AS_A_VOLUME = copy.deepcopy(SAMPLE)
_ASKS_FOR_A_PATH_AS_A_VOLUME["task_template"]["container_spec"]["mounts"] = [
    {"source": "/data/xnat/archive", "target": "/data/a", "type": "volume", "read_only": True}
]


@fuzz(600)
@given(_launches())
@example((SITES[0], "alice/x", _ASKS_FOR_A_FOLDER_OF_ANOTHERS))
@example((SITES[2], "alice", _ASKS_FOR_A_PATH_AS_A_VOLUME))
def test_what_passes_holds_nothing_that_the_site_does_not_allow(launch):
    check_answer(*launch)


@fuzz(500)
@given(_answers())
def test_what_passes_names_and_runs_nothing_that_the_site_does_not_allow(answer):
    check_answer(SITES[0], "alice", answer)


def check_answer_bytes(content: bytes) -> None:
    """Take any bytes as XNAT's answer, through JSON and the policy of the first site."""
    with bounded():
        for content_type in ("application/json", "text/html"):
            answer = Answer(content, content_type)
            try:
                assert isinstance(answer.text(), str)
            except XnatBadAnswer as error:
                judge_text(error)
            try:
                data = answer.json()
            except XnatBadAnswer as error:
                judge_text(error)
                continue
            _judge_item(flat_item(data))
            check_answer(SITES[0], "alice", data)


_SAMPLE_BYTES = json.dumps(SAMPLE).encode()


@st.composite
def _bodies(draw):
    body = draw(
        st.sampled_from([_SAMPLE_BYTES, json.dumps(SAMPLE, indent=2).encode("utf-16"), b"[]", b'"alice"'])
    )
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 20)))
        body = body[:start] + draw(st.sampled_from(_JSON_PIECES) | st.binary(max_size=6)) + body[end:]
    return body


_JSON_PIECES = [
    b"", b"null", b"[" * 3000, b'{"a":' * 2000, b"1e999", b"-", b"9" * 5000, b"NaN", b"Infinity", b'"\\ud800"', b"\\u0000", b"<html>", b"\xff",
    b"\xef\xbb\xbf", b"true", b'{"__proto__": 1}', b'"' + b"x" * 2000 + b'"', b"[]", b"{}", b"\0", b" " * 1000,
]  # fmt: skip


@fuzz(600)
@given(_bodies() | st.binary(max_size=60))
@example(b"9" * 5000)
@example(b"[" * 200_000)
@example(b'{"userId": ' + b"9" * 4000 + b"}")
@example(b'{"userId": 1e999, "itemId": "\\ud800"}')
def test_any_body_is_an_answer_or_a_bad_answer(content):
    check_answer_bytes(content)


@fuzz(300)
@given(ANYTHING | st.dictionaries(st.sampled_from(ITEM_KEYS) | ODD_TEXT, ANYTHING, max_size=6))
@example({"userId": 10**290})
def test_user_options_of_a_request_are_kept_flat(options):
    """Whoever posts them; the hub stores them, and shows them in its API."""
    with bounded():
        _judge_item(flat_item(options))


def test_the_properties_above_see_plans_that_pass():
    assert check_answer(SITES[0], "alice", SAMPLE)
    own = {"source": _OWN + "alice", "target": "/data/x", "type": "bind", "read_only": False}
    for rules, source, kind in ((SITES[1], _OWN + "alice", "bind"), (SITES[2], "home-alice", "volume")):
        answer = copy.deepcopy(SAMPLE)
        answer["task_template"]["container_spec"]["mounts"] = [{**own, "source": source, "type": kind}]
        assert check_answer(rules, "alice", answer)
        assert not check_answer(rules, "bob", answer)
