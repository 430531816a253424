"""XNAT's answer becomes a launch plan, or a PlanError that names the place; nothing else."""

import contextlib
import math
import re
import subprocess
import time
import tracemalloc
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.helpers import SAMPLE, put
from xnathub_conf.launch.plan import ITEM_KEYS, Constraint, LaunchPlan, Mount, PlanError, flat_item, read_plan
from xnathub_conf.values.memory import site_bytes, xnat_bytes
from xnathub_conf.values.paths import PathTranslation

SPEC, RESOURCES = "task_template/container_spec", "task_template/resources"
G = 1024**3
TRANSLATE = PathTranslation({"/data/xnat/archive": "/mnt/archive"})


def plan_of(answer, translate=TRANSLATE) -> LaunchPlan:
    return read_plan(answer, "alice", "", translate)


def changed(path, value) -> LaunchPlan:
    return plan_of(put(SAMPLE, path, value))


def test_the_contracts_answer_field_by_field():
    plan = plan_of(SAMPLE)
    assert plan.username == "alice"
    assert plan.server_name == ""
    assert plan.item == {key: SAMPLE[key] for key in ITEM_KEYS}
    assert plan.image == "xnat/datascience-notebook:1.3.0"
    assert plan.command is None
    assert plan.environment == SAMPLE["task_template"]["container_spec"]["env"]
    assert plan.mounts == (
        Mount("bind", "/data/xnat/workspaces/users/alice", "/workspace/alice", False),
        Mount("bind", "/mnt/archive/P1/arc001", "/data/projects/P1/experiments", True),
    )
    assert (plan.cpu_limit, plan.cpu_guarantee) == (4.0, 1.0)
    assert (plan.mem_limit, plan.mem_guarantee) == (8 * G, 2 * G)
    assert plan.generic_resources == {"gpu": 1}
    assert plan.constraints == (
        Constraint("node.labels.type", "==", "gpu"),
        Constraint("node.role", "!=", "manager"),
    )
    assert str(plan.constraints[1]) == "node.role!=manager"


def test_a_plan_can_not_be_changed():
    plan = plan_of(SAMPLE)
    with pytest.raises(FrozenInstanceError):
        plan.image = "evil"
    for mapping in (plan.environment, plan.generic_resources):
        with pytest.raises(TypeError):
            mapping["A"] = "x"
    with pytest.raises(AttributeError):
        plan.mounts[0].source = "/etc"


def test_a_plan_never_shows_its_environment():
    plan = plan_of(SAMPLE)
    for text in (repr(plan), str(plan), f"{plan}"):
        assert "s3cr3t-alias" not in text
        assert "alias-1" not in text


def nodes(data, path=()):
    """Every place in the answer."""
    yield path
    for key, value in (
        data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    ):
        yield from nodes(value, (*path, key))


ALL_NODES = ["/".join(map(str, path)) for path in nodes(SAMPLE) if path]
ODD = [
    None, True, False, 0, 1, -1, 10**400, -(10**400), 0.5, -0.5, 1e300, math.inf, -math.inf, math.nan, "", " ", "x", "\0", "\ud800", "a\nb",
    "/", "/..", "é" * 3000, "1e5", "0x10", "٣", "K", "8\u212a", [], [None], [[]], [{}], ["x"], [0], {}, {"": None}, {"a": {}}, {"a": []},
    {"a": "b"}, {"\ud800": "1"}, {"type": "bind"}, {"type": [], "source": "/a", "target": "/b"}, {"type": "volume", "source": 5, "target": "/b"},
]  # fmt: skip


@pytest.mark.parametrize("path", ALL_NODES)
def test_any_odd_value_at_any_place_is_a_plan_or_a_plan_error(path):
    for value in ODD:
        try:
            plan = changed(path, value)
        except PlanError as error:
            f"{error.where}{error}".encode()  # can be logged and shown
        else:
            assert_sound(plan)


@pytest.mark.parametrize("answer", ODD)
def test_any_odd_answer_is_a_plan_error(answer):
    with pytest.raises(PlanError):
        plan_of(answer)


def assert_sound(plan):
    """Everything in a plan has its type, and can be written in UTF-8."""
    for number in (plan.cpu_limit, plan.cpu_guarantee):
        assert number is None or (type(number) is float and 0 < number < math.inf)
    for number in (plan.mem_limit, plan.mem_guarantee):
        assert number is None or (type(number) is int and number > 0)
    texts = [
        plan.image,
        *(plan.command or ()),
        *plan.environment,
        *plan.environment.values(),
        *map(str, plan.constraints),
    ]
    texts += [text for mount in plan.mounts for text in (mount.source, mount.target)]
    texts += [value for value in plan.item.values() if isinstance(value, str)]
    texts += list(plan.generic_resources)
    for text in texts:
        assert type(text) is str
        text.encode()
    assert all(type(mount.read_only) is bool and mount.target.startswith("/") for mount in plan.mounts)
    for amount in plan.generic_resources.values():
        assert (type(amount) is int and amount > 0) or (type(amount) is str and amount.isascii() and amount)
    for value in plan.item.values():
        assert value is None or isinstance(value, str | bool) or math.isfinite(value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(ODD[:28]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.sampled_from(ALL_NODES), _JSON), min_size=1, max_size=3))
def test_any_json_anywhere_is_a_plan_or_a_plan_error(changes):
    answer = SAMPLE
    for path, value in changes:
        try:
            answer = put(answer, path, value)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            continue  # an earlier change took that place away
    try:
        assert_sound(plan_of(answer))
    except PlanError as error:
        str(error).encode()


@pytest.mark.parametrize("path", ALL_NODES)
def test_null_is_the_same_as_absent(path):
    """But for the image, and what a mount can't be without."""
    needed = path.endswith(("/image", "container_spec", "task_template", "/source", "/target")) or path.split(
        "/"
    )[-2:-1] == ["mounts"]
    needed = needed or path.split("/")[-2:-1] == ["constraints"]
    if needed:
        with pytest.raises(PlanError):
            changed(path, None)
    else:
        changed(path, None)


def test_unknown_keys_are_ignored():
    for path in ("more", "task_template/more", f"{SPEC}/more", f"{SPEC}/mounts/0/more", f"{RESOURCES}/more"):
        assert changed(path, {"a": [1]}) == plan_of(SAMPLE)


def test_the_least_answer():
    plan = plan_of({"task_template": {"container_spec": {"image": "a"}}})
    assert (plan.command, plan.mounts, plan.constraints, plan.cpu_limit, plan.mem_limit) == (
        None,
        (),
        (),
        None,
        None,
    )
    assert (dict(plan.item), dict(plan.environment), dict(plan.generic_resources)) == ({}, {}, {})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{SPEC}/image", ""), (f"{SPEC}/image", 5), (f"{SPEC}/command", ["a"]), (f"{RESOURCES}/generic_resources/gpu", "GPU 1"),
        (f"{SPEC}/env", []), (f"{SPEC}/env", {"A B": "x"}), (f"{SPEC}/env", {"": "x"}), (f"{SPEC}/env", {"A=B": "x"}),
        (f"{SPEC}/env", {"1A": "x"}), (f"{SPEC}/env", {"A\n": "x"}), (f"{SPEC}/env", {"A": True}), (f"{SPEC}/env", {"A": {}}),
        (f"{SPEC}/env", {"A": "\ud800"}), (f"{SPEC}/mounts", {}), (f"{SPEC}/mounts/0/type", "tmpfs"), (f"{SPEC}/mounts/0/type", "npipe"),
        (f"{SPEC}/mounts/0/source", "data"), (f"{SPEC}/mounts/0/source", "/a/../etc"), (f"{SPEC}/mounts/0/source", "/a\0"),
        (f"{SPEC}/mounts/0/target", "workspace"), (f"{SPEC}/mounts/0/target", "/workspace/../etc"), (f"{SPEC}/mounts/0/target", ""),
        (f"{SPEC}/mounts/1", "/a:/b"), (f"{SPEC}/mounts/1", ["/a", "/b"]), (f"{RESOURCES}/cpu_limit", "4"), (f"{RESOURCES}/cpu_limit", -1),
        (f"{RESOURCES}/cpu_limit", math.nan), (f"{RESOURCES}/cpu_limit", math.inf), (f"{RESOURCES}/cpu_limit", 10**400),
        (f"{RESOURCES}/cpu_limit", True), (f"{RESOURCES}/mem_limit", "lots"), (f"{RESOURCES}/mem_limit", "-8G"), (f"{RESOURCES}/mem_limit", -1),
        (f"{RESOURCES}/mem_limit", 10**400), (f"{RESOURCES}/generic_resources/gpu", "-1"), (f"{RESOURCES}/generic_resources/gpu", 1.5),
        (f"{RESOURCES}/generic_resources/gpu", "1.0"), (f"{RESOURCES}/generic_resources/gpu", "٣"), (f"{RESOURCES}/generic_resources/gpu", True),
        (f"{RESOURCES}/generic_resources/gpu", "9999999"), (f"{RESOURCES}/generic_resources/gpu", "GPU-\n"),
        (f"{RESOURCES}/generic_resources/gpu", "all"), (f"{RESOURCES}/generic_resources/gpu", "ALL"), (f"{RESOURCES}/generic_resources/gpu", "void"),
        *(("task_template/placement/constraints", [bad]) for bad in (
            "node.role", "node.role=manager", "==gpu", "==", "a== ", "node.role == \n", "a b==c", "a===b\0", "a==b\nc", "a==\x1b[2J", "-a==b",
            "a>b", 5, None, {}, "é==b", "a==\ud800", "node.role ! = manager")),
    ],
)  # fmt: skip
def test_wrong_forms_are_refused_at_their_place(path, value):
    with pytest.raises(PlanError) as raised:
        changed(path, value)
    first = [part for part in path.split("/") if part not in {"task_template"} and not part.isdigit()]
    assert raised.value.where.startswith(".".join(first[:2]).split(".mounts")[0])


@pytest.mark.parametrize(
    ("text", "key", "operator", "value"),
    [
        ("node.labels.type==gpu", "node.labels.type", "==", "gpu"), ("node.role != manager", "node.role", "!=", "manager"),
        ("  node.id==abc  ", "node.id", "==", "abc"), ("node.hostname==a b", "node.hostname", "==", "a b"), ("a==b==c", "a", "==", "b==c"),
        ("engine.labels.os!==x", "engine.labels.os", "!=", "=x"), ("node.labels.x==ünï", "node.labels.x", "==", "ünï"),
        ("gpu==true", "gpu", "==", "true"), ("kubernetes.io/hostname==node1", "kubernetes.io/hostname", "==", "node1"),
        ("node-role.kubernetes.io/gpu==", "node-role.kubernetes.io/gpu", "==", ""),
        ("nvidia.com/gpu.product != A100", "nvidia.com/gpu.product", "!=", "A100"),
    ],
)  # fmt: skip
def test_constraints(text, key, operator, value):
    assert changed("task_template/placement/constraints", [text]).constraints == (
        Constraint(key, operator, value),
    )


COMMANDS = [
    "jhsingle-native-proxy --port {port} -- panel serve app.py", 'a "b c" d', "a 'b \"c\" $HOME' d", "a b\\ c", 'a ""', "a\tb\nc", "a 'it'\\''s'",
    "a --x='y z'", 'a "b\\"c"', "a#b c", "a   b", 'voila "{presentation_path}" --no-browser', "é '日本'",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_split_as_a_shell_does(command):
    script = "printf '%s\\0' " + command.replace("\n", " ")
    shell = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout
    assert changed(f"{SPEC}/command", command).command == tuple(shell.decode().split("\0")[:-1])


@pytest.mark.parametrize("command", ["", " ", "\n\t "])
def test_an_empty_command_is_the_images_own(command):
    assert changed(f"{SPEC}/command", command).command is None


def test_a_command_runs_no_shell():
    words = ("a", "$(id)", "`id`", ";", "rm", "*", "&&", "$HOME", "|", "x>y", "#c")
    assert changed(f"{SPEC}/command", " ".join(words)).command == words


MEMORY = [
    ("8G", 8 * G), ("8g", 8 * G), ("8Gi", 8 * G), ("8GiB", 8 * G), ("8gb", 8 * G), ("8 G", 8 * G), (" 8G ", 8 * G), ("512M", 512 * 1024**2),
    ("512Mi", 512 * 1024**2), ("1K", 1024), ("1Ki", 1024), ("1T", 1024 * G), ("1.5G", 3 * G // 2), ("0.5G", G // 2), ("100", 100), ("100b", 100),
    ("2147483648", 2 * G),
]  # fmt: skip
NO_MEMORY = [
    "G", "8X", "8i", "8ib", "8 8G", "-8G", "+8G", "8,5G", ".5G", "5.G", "1e9", "0x10", "8GG", "8\u212a", "8\u0130", "٣G", "8G\0", "8Gi i", "inf",
    "nan", "8" * 16, "",
]  # fmt: skip


@pytest.mark.parametrize(("text", "amount"), MEMORY)
def test_memory(text, amount):
    assert xnat_bytes(text) == amount
    assert changed(f"{RESOURCES}/mem_limit", text).mem_limit == amount


@pytest.mark.parametrize("text", NO_MEMORY)
def test_no_amount_of_memory(text):
    with pytest.raises(ValueError, match="memory"):
        xnat_bytes(text)
    with pytest.raises(ValueError, match="memory"):
        site_bytes(text)


@pytest.mark.parametrize("value", ["", None, 0, 0.0, "0", "0G"])
def test_no_memory_is_asked_for(value):
    assert changed(f"{RESOURCES}/mem_limit", value).mem_limit is None
    if not isinstance(value, str) or not value:
        assert changed(f"{RESOURCES}/cpu_limit", value).cpu_limit is None


def test_memory_as_a_number_is_bytes():
    assert changed(f"{RESOURCES}/mem_limit", 2.0**30).mem_limit == G


@given(st.text(max_size=12) | st.from_regex(r"\s?[0-9.]{1,8}\s?[kKmMgGtTiIbB\u212a]{0,3}", fullmatch=True))
@example("8\u212ai")
def test_memory_is_a_number_or_a_value_error(text):
    for read in (xnat_bytes, site_bytes):
        with contextlib.suppress(ValueError):
            assert read(text) >= 0


@pytest.mark.parametrize(
    ("resources", "read"),
    [
        ({"gpu": "1"}, {"gpu": 1}), ({"gpu": 2}, {"gpu": 2}), ({"nvidia.com/gpu": "1", "fpga": "3"}, {"nvidia.com/gpu": 1, "fpga": 3}),
        ({"gpu": "0"}, {}), ({"gpu": None}, {}), ({"gpu": ""}, {}), (None, {}), ({}, {}), ({"gpu": "007"}, {"gpu": 7}),
        ({"gpu": "GPU-8a2b"}, {"gpu": "GPU-8a2b"}),
    ],
)  # fmt: skip
def test_generic_resources(resources, read):
    assert changed(f"{RESOURCES}/generic_resources", resources).generic_resources == read


@pytest.mark.parametrize(
    ("value", "read_only"),
    [(False, False), (True, True), (None, True), (0, True), ("false", True), ("", True), ([], True)],
)
def test_only_false_is_writable(value, read_only):
    assert changed(f"{SPEC}/mounts/0/read_only", value).mounts[0].read_only is read_only


def test_a_volume_is_not_translated_and_null_is_a_bind():
    mount = {"source": "work", "target": "/workspace//x/", "type": "volume"}
    assert changed(f"{SPEC}/mounts", [mount]).mounts == (Mount("volume", "work", "/workspace/x", True),)
    mount = {"source": "/data//xnat/./archive/", "target": "/data", "type": None}
    assert changed(f"{SPEC}/mounts", [mount]).mounts == (Mount("bind", "/mnt/archive", "/data", True),)


def test_a_path_for_a_volume_is_bound_as_by_the_plugin():
    mount = {
        "source": "/data/xnat/archive/common",
        "target": "/data/common",
        "type": "volume",
        "read_only": True,
    }
    bound = Mount("bind", "/mnt/archive/common", "/data/common", True)
    assert changed(f"{SPEC}/mounts", [mount]).mounts == (bound,)


@pytest.mark.parametrize("source", ["", None])
@pytest.mark.parametrize("target", ["/data/common", "common", "common:/data/common", "", None])
def test_a_volume_whose_name_xnat_does_not_send_is_refused_with_its_mount_and_the_key(source, target):
    mount = {"source": source, "target": target, "type": "volume", "read_only": True}
    which = (
        f"mounts[1]: the mount with source '' and target '{target or ''}' can't be used: it is to be a volume"
    )
    with pytest.raises(PlanError, match=f"{re.escape(which)}.*local path.*servers\\.allowed_mounts"):
        changed(f"{SPEC}/mounts", [*SAMPLE["task_template"]["container_spec"]["mounts"][:1], mount])


@pytest.mark.parametrize(
    ("mount", "text"),
    [
        (("bind", "", "/data/x"), "source '' and target '/data/x' can't be used: it is not absolute"),
        (("bind", "/data/x", "x"), "source '/data/x' and target 'x' can't be used: it is not absolute"),
        (("volume", "a/b", "/x"), "source 'a/b' and target '/x' can't be used: a path is no volume's name"),
        (("tmpfs", "", "/x"), "source '' and target '/x' can't be used: its type is neither bind nor volume"),
    ],
)
def test_a_mount_that_is_refused_is_named_by_its_source_and_target(mount, text):
    given = dict(zip(("type", "source", "target"), mount, strict=True))
    with pytest.raises(PlanError, match=f"{re.escape(f'the mount with {text}')}$"):
        changed(f"{SPEC}/mounts", [given])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("voila --title Bob's", ("voila", "--title", "Bob's")), ("a  b\tc\\", ("a", "b", "c\\")), ("'open", ("'open",)),
        ("python -c 'print(1)'", ("python", "-c", "print(1)")), (" ", None),
        ("voila --title Bob's and Ann's", ("voila", "--title", "Bob's", "and", "Ann's")), ("o'brien's", ("o'brien's",)),
        ("voila --title=O'Brien --x 'a b'", ("voila", "--title=O'Brien", "--x", "'a", "b'")),
        ("""voila --title "Bob's and Ann's" -x""", ("voila", "--title", "Bob's and Ann's", "-x")),
        ("voila --title='My title' --y='b'", ("voila", "--title=My title", "--y=b")), ("a ''b'' c'd'e", ("a", "''b''", "c'd'e")),
        ("sh -c 'echo \"it'\"'\"'s\"'", ("sh", "-c", "echo \"it's\"")), ("sh -c \"echo \\\"it's\\\" Ann's\"", ("sh", "-c", "echo \"it's\" Ann's")),
    ],
)  # fmt: skip
def test_a_command_no_shell_could_split_is_split_at_spaces(command, words):
    assert changed(f"{SPEC}/command", command).command == words


def test_environment_values_are_text():
    assert changed(f"{SPEC}/env", {"A": 1, "B": 1.5, "C": None, "D": ""}).environment == {
        "A": "1",
        "B": "1.5",
        "D": "",
    }


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (SAMPLE, {key: SAMPLE[key] for key in ITEM_KEYS}),
        ({"itemId": {"a": 1}, "projectId": ["x"], "xsiType": "t"}, {"xsiType": "t"}),
        ({"itemId": "x" * 1000, "projectId": "x" * 1001}, {"itemId": "x" * 1000}),
        ({"itemId": "\ud800", "userId": math.nan, "projectId": math.inf}, {}),
        ({"image": "evil", "task_template": {}, "XNAT_PASS": "x", "itemId": True}, {"itemId": True}),
        (None, {}), ([], {}), ("itemId", {}), (5, {}), ([["itemId", "x"]], {}),
    ],
)  # fmt: skip
def test_flat_item(options, kept):
    assert flat_item(options) == kept


@given(st.dictionaries(st.sampled_from(ITEM_KEYS) | st.text(max_size=5), _JSON, max_size=6))
def test_a_flat_item_is_always_flat_and_short(options):
    for key, value in flat_item(options).items():
        assert key in ITEM_KEYS
        assert value is None or isinstance(value, str | bool | int | float)
        assert len(str(value)) <= 1000


def test_thousands_of_mounts_are_read_fast():
    mount = {"target": "/data/x", "type": "bind", "read_only": True}
    mounts = [{**mount, "source": f"/data/xnat/archive/P{i}", "target": f"/data/P{i}"} for i in range(30_000)]
    answer = put(SAMPLE, f"{SPEC}/mounts", mounts)
    tracemalloc.start()
    start = time.process_time()
    assert len(plan_of(answer).mounts) == 30_000
    assert time.process_time() - start < 5
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text", ["a==" + "b " * 50_000 + "\n!", "a" * 100_000, " " * 100_000 + "a==b\0", "a==" + " " * 100_000]
)
def test_a_long_constraint_takes_no_long_time(text):
    start = time.process_time()
    with pytest.raises(PlanError):
        changed("task_template/placement/constraints", [text])
    assert time.process_time() - start < 1
