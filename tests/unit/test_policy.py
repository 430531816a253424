"""Each rule of the policy refuses what breaks it, and lets its neighbour pass."""

import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.helpers import SAMPLE, put, site_of
from xnathub_conf.launch.plan import PlanError, read_plan
from xnathub_conf.launch.policy import Policy, PolicyRefusal
from xnathub_conf.launch.site_variables import site_variables
from xnathub_conf.values.paths import PathTranslation
from xnathub_conf.values.reserved_names import RESERVED_TARGETS

SPEC, RESOURCES = "task_template/container_spec", "task_template/resources"
G = 1024**3
SHA = "sha256:" + "0" * 64
CAPS = {"cpu": 8, "mem": "16G", "generic_resources": {"gpu": 2}}


def check(answer, username="alice", paths=None, **servers):
    """The answer of XNAT through the plan's reader and the policy, as before a spawn."""
    changes = {f"servers__{key}": value for key, value in {"caps": CAPS, **servers}.items()}
    if paths:
        changes["paths"] = paths
    site = site_of(**changes)
    translate = PathTranslation(
        {rule.from_: rule.to for rule in (*site.paths.archive, *site.paths.workspaces)}
    )
    return Policy(site).check(read_plan(answer, username, "", translate))


def refusal(answer, **options):
    with pytest.raises(PolicyRefusal) as raised:
        check(answer, **options)
    assert str(raised.value)
    return raised.value.rule, raised.value.key


def refused_anyhow(answer, **options):
    with pytest.raises((PolicyRefusal, PlanError)):
        check(answer, **options)


def mount(source="/data/xnat/archive/P1", target="/data/x", *, kind="bind", read_only=True):
    return {"source": source, "target": target, "type": kind, "read_only": read_only}


def mounting(*mounts):
    return put(SAMPLE, f"{SPEC}/mounts", list(mounts))


def test_the_contracts_answer_passes_as_it_is():
    plan = check(SAMPLE)
    assert plan.mounts[0].read_only is False
    assert (plan.cpu_limit, plan.mem_limit) == (4.0, 8 * G)


# ---- images


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("xnat/a", True), ("docker.io/xnat/a:9", True), (f"xnat/a@{SHA}", True), ("xnat/a/b", False), ("evil/a", False), ("a", False),
        ("example.org/xnat/a", False), ("xnat/A", False), ("xnat/../evil/a", False), ("xnat//a", False), ("xnat/a b", False),
        ("xnat\uff0fa", False), ("xnat/a\0", False), ("xnat/*", False), (SHA, False), ("\ud800", False), ("--privileged", False),
    ],
)  # fmt: skip
def test_images(image, allowed):
    answer = put(SAMPLE, f"{SPEC}/image", image)
    if allowed:
        check(answer)
    elif image == "\ud800":
        refused_anyhow(answer)
    else:
        assert refusal(answer) == ("image", "servers.allowed_images")


# ---- where mounts come from


@pytest.mark.parametrize(
    "source",
    [
        "/data/xnat/archive", "/data/xnat/archive/", "/data/xnat/archive/P1", "/data//xnat/./archive//P1/", "/data/xnat/workspaces/users/alice",
        "/data/xnat/archive/P1/deep/er", "/data/xnat/archive/..P1", "/data/xnat/archive/{username}",
    ],
)  # fmt: skip
def test_sources_under_the_roots_pass(source):
    check(mounting(mount(source)))


@pytest.mark.parametrize(
    "source",
    [
        "/", "/etc", "/etc/passwd", "/data", "/data/xnat", "/data/xnat/archives", "/data/xnat/archive2/P1", "/data/xnat/archive.old", "//",
        "/data/xnat/archive/..", "/data/xnat/archive/../../..", "/data/xnat/archive/P1/../../../etc", "/data/xnat/archive/./../x",
        "/data/xnat/archive//../..", "data/xnat/archive", "./data/xnat/archive", "../data/xnat/archive", "~/x", "/DATA/xnat/archive",
        "/data/xnat/archive\0/etc", "/data/xnat/archive\n", "\0/data/xnat/archive", "/data\uff0fxnat\uff0farchive", "\uff0fdata/xnat/archive",
        "/data/xnat\u200b/archive", "/d\u0430ta/xnat/archive", "/data/xnat/archive\ud800", "/var/run/docker.sock", "/proc/1/root", "C:\\data",
        "/x/data/xnat/archive", "/data/xnat/workspaces", "/data/xnat/workspaces/users", "/data/xnat/workspaces/users/bob",
        "/data/xnat/workspaces/users/alice2", "/data/xnat/workspaces/users/ALICE", "/data/xnat/workspaces/users/alice/../bob",
        "/data/xnat/workspaces/users/{username}", "/data/xnat/workspaces/users/alic\u0435", "/data/xnat/workspaces/users//bob", "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("read_only", [True, False])
def test_sources_outside_the_roots_are_refused(source, read_only):
    refused_anyhow(mounting(mount(source, "/workspace/x", read_only=read_only)))
    refused_anyhow(mounting(mount(), mount(source, "/workspace/x", read_only=read_only)))


def test_an_allowed_source_says_which_key_allows_it():
    assert refusal(mounting(mount("/etc"))) == ("mount-source", "servers.allowed_mounts")
    assert refusal(mounting(mount("atlas", kind="volume"))) == ("mount-source", "servers.allowed_mounts")


@pytest.mark.parametrize(
    ("source", "user", "passes"),
    [
        ("/data/xnat/workspaces/users/alice", "alice", True), ("/data/xnat/workspaces/users/alice/x", "alice", False),
        ("/data/xnat/archive/P1", "alice", False), ("/data/xnat/archive", "alice", False), ("/data/xnat/workspaces/users/bob", "alice", False),
        ("/data/xnat/workspaces/users/Alice", "Alice", True), ("/data/xnat/workspaces/users/alice", "Alice", False),
        ("/data/xnat/workspaces/users/a.b@c.org", "a.b@c.org", True), ("/data/xnat/workspaces/users/aXb@c.org", "a.b@c.org", False),
        ("/data/xnat/workspaces/users/{username}", "{username}", True), ("/data/xnat/workspaces/users/alice", "{username}", False),
        ("/data/xnat/workspaces/users", ".", False), ("/data/xnat/workspaces/users", "", False), ("/data/xnat/workspaces", "..", False),
        ("/data/xnat/workspaces/users/a/b", "a/b", False), ("/data/xnat/workspaces/users/bob", "bob/", False), ("/data/xnat/archive", "../../archive", False),
        ("/data/xnat/workspaces/users/x", "x/../y", False), ("/data/xnat/workspaces/users/ALICE", "alice", False), ("/", "/", False),
        ("/data/xnat/workspaces/users/*", "*", True), ("/data/xnat/workspaces/users/bob", "*", False), ("/data/xnat/workspaces/users/bob", ".*", False),
    ],
)  # fmt: skip
def test_writable_is_ones_own_workspace_and_nothing_else(source, user, passes):
    answer = mounting(mount(source, "/workspace/x", read_only=False))
    if passes:
        assert check(answer, username=user).mounts[0].source == source
    else:
        refused_anyhow(answer, username=user)


def test_a_writable_archive_has_a_refusal_of_its_own():
    assert refusal(mounting(mount(read_only=False))) == ("mount-writable", "servers.allowed_mounts")


def test_an_unclear_read_only_is_read_only():
    for value in (None, 0, "no", "false"):
        assert check(mounting({**mount(), "read_only": value})).mounts[0].read_only is True


def test_the_longest_root_decides():
    roots = [
        {"path": "/data"},
        {"path": "/data/ws/{username}", "writable": True},
    ]
    check(mounting(mount("/data/ws/alice", read_only=False)), allowed_mounts=roots)
    for source in ("/data/x", "/data/ws/bob"):
        assert refusal(mounting(mount(source, read_only=False)), allowed_mounts=roots)[0] == "mount-writable"


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("source", ["/data/ws/alice/x", "/data/ws/alice/x/y", "/data/ws/bob/x"])
def test_what_a_user_may_have_put_a_link_in_the_place_of_is_not_mounted(source, read_only):
    """Docker follows a link on the node, so that a mount of `workspace/x -> /etc` is one of the node's /etc."""
    roots = [
        {"path": "/data"},
        {"path": "/data/ws/{username}", "writable": True},
    ]
    assert refusal(mounting(mount(source, read_only=read_only)), allowed_mounts=roots) == ("mount-source", "")


def test_a_folder_of_the_site_beside_those_of_users_is_mounted_as_ever():
    roots = [{"path": "/data/xnat/archive"}, {"path": "/data/{username}", "writable": True}]
    check(mounting(mount("/data/xnat/archive/P1")), allowed_mounts=roots)
    assert refusal(mounting(mount("/data/alice/x")), allowed_mounts=roots)[0] == "mount-source"


@pytest.mark.parametrize("name", ["common", "xnat", "archive"])
def test_a_name_like_a_folder_of_the_site_gives_no_right_to_it(name):
    """XNAT's users may choose their own names."""
    roots = [
        {"path": "/data/common"},
        {"path": "/data/xnat/archive"},
        {"path": "/data/{username}", "writable": True},
        {"path": "/data/xnat/{username}", "writable": True},
        {"path": "common"},
        {"path": "{username}", "writable": True},
    ]
    for source in (
        "/data/common",
        "/data/common/x",
        "/data/xnat",
        "/data/xnat/archive",
        "/data/xnat/archive/P1",
    ):
        answer = mounting(mount(source, read_only=False))
        assert refusal(answer, username=name, allowed_mounts=roots)[0] in {"mount-writable", "mount-source"}
    answer = mounting(mount("common", kind="volume", read_only=False))
    assert refusal(answer, username=name, allowed_mounts=roots)[0] in {"mount-writable", "mount-source"}
    check(mounting(mount("/data/alice", read_only=False)), username="alice", allowed_mounts=roots)


def test_mounts_are_judged_after_translation():
    paths = {"archive": [{"from": "/data/xnat/archive", "to": "/mnt/a"}]}
    options = {"paths": paths, "allowed_mounts": [{"path": "/mnt/a"}]}
    assert check(mounting(mount()), **options).mounts[0].source == "/mnt/a/P1"
    assert refusal(mounting(mount("/data/xnat/workspaces/users/alice")), **options)[0] == "mount-source"
    # A path that looks translated already is under the root like any other.
    check(mounting(mount("/mnt/a/P1")), **options)


@pytest.mark.parametrize(
    ("name", "user", "passes"),
    [
        ("shared", "alice", True), ("ws-alice", "alice", True), ("ws-alice", "bob", False), ("ws-{username}", "alice", False), ("other", "alice", False),
        ("", "alice", False), ("/etc", "alice", False), ("shared/x", "alice", False), ("share", "alice", False), ("/var/run/docker.sock", "alice", False),
        ("ws-a/b", "a/b", False), ("\ud800", "alice", False), ("/srv/x", "alice", True), ("/srv/x/y", "alice", True), ("/srv", "alice", False), ("..", "alice", False),
    ],
)  # fmt: skip
def test_volumes_match_whole_names(name, user, passes):
    roots = [{"path": "shared"}, {"path": "ws-{username}", "writable": True}, {"path": "/srv/x"}]
    answer = mounting(mount(name, kind="volume"))
    if passes:
        check(answer, username=user, allowed_mounts=roots)
    else:
        refused_anyhow(answer, username=user, allowed_mounts=roots)
    refused_anyhow(mounting(mount("shared", kind="volume", read_only=False)), allowed_mounts=roots)
    refused_anyhow(mounting(mount("/data/xnat", kind="volume")))
    # XNAT's plugin takes a path for a volume where a mount has both.
    assert check(mounting(mount("/data/xnat/archive", kind="volume"))).mounts[0].kind == "bind"


# ---- where mounts appear


@pytest.mark.parametrize(
    "target", ["/data", "/data/", "/data/projects/P1", "/workspace/alice", "/data//x/./y"]
)
def test_targets_below_the_allowed_folders_pass(target):
    check(mounting(mount(target=target)))


@pytest.mark.parametrize(
    "target",
    [
        *RESERVED_TARGETS, *(f"{folder}/x" for folder in RESERVED_TARGETS), "/", "//", "/var/run/docker.sock", "/home/jovyan", "/tmp", "/datas",
        "/data/../etc", "/data/..", "/workspace/../../etc", "/data\0", "data", "", "/data/x\n", "/DATA", "/data\uff0fx/../y", "/srv/jupyterhub",
    ],
)  # fmt: skip
def test_targets_elsewhere_are_refused(target):
    refused_anyhow(mounting(mount(target=target)))


def test_a_refused_target_names_its_key():
    assert refusal(mounting(mount(target="/etc"))) == ("mount-target", "servers.allowed_mount_targets")
    check(mounting(mount(target="/home/jovyan/x")), allowed_mount_targets=["/home/jovyan"])


@pytest.mark.parametrize("other", ["/data/x", "/data/x/", "/data//x", "/data/./x"])
def test_two_mounts_with_one_target_are_refused(other):
    assert refusal(mounting(mount(), mount("/data/xnat/archive/P2", other)))[0] == "mount-target"
    check(
        mounting(
            mount(), mount("/data/xnat/archive/P2", "/data/x/y"), mount("/data/xnat/archive/P1", "/data/x2")
        )
    )


# ---- environment and command


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("JUPYTERHUB_API_TOKEN", ""),
        ("LD_PRELOAD", "servers.environment"),
        ("NVIDIA_VISIBLE_DEVICES", "servers.environment"),
    ],
)
def test_a_variable_that_xnat_may_not_set_is_refused_with_the_key_that_may(name, key):
    assert refusal(put(SAMPLE, f"{SPEC}/env/{name}", "x")) == ("environment", key)


@pytest.mark.parametrize(
    "name", ["XNAT_HOST", "JUPYTERHUB_ROOT_DIR", "XDG_CONFIG_HOME", "NB_UMASK", "JUPYTER_ENABLE_LAB"]
)
def test_other_variables_pass(name):
    assert check(put(SAMPLE, f"{SPEC}/env/{name}", "x")).environment[name] == "x"


def test_a_refused_variable_does_not_show_its_value():
    with pytest.raises(PolicyRefusal) as raised:
        check(put(SAMPLE, f"{SPEC}/env/LD_PRELOAD", "s3cr3t"))
    assert "s3cr3t" not in str(raised.value)


def test_control_characters():
    assert refusal(put(SAMPLE, f"{SPEC}/env/A", "x\0y"))[0] == "environment"
    check(put(SAMPLE, f"{SPEC}/env/A", "x\ny"))
    for command in (
        "a\0b",
        "a \x1b[2J",
        "'a\x07'",
        "a\x7f",
        "a\x9b2J",
        "'a\rb'",
        "a\u202eb",
        "a\u2066b",
        "'a\x85b'",
        "a\u2028b",
    ):
        assert refusal(put(SAMPLE, f"{SPEC}/command", command))[0] == "command"
    for command in ("a 'b\nc'", "a 'b\tc'", "é 日本 😀"):
        check(put(SAMPLE, f"{SPEC}/command", command))


def test_the_sites_environment_is_there_too():
    assert check(SAMPLE, environment={"TZ": "Europe/Berlin"}).environment["TZ"] == "Europe/Berlin"


# ---- resources


@pytest.mark.parametrize(
    ("what", "value", "refused"),
    [
        ("cpu_limit", 8, None), ("cpu_limit", 8.01, "cpu"), ("cpu_limit", 1e299, "cpu"), ("mem_limit", "16G", None), ("mem_limit", "17G", "mem"),
        ("mem_limit", 16 * G + 1, "mem"), ("mem_limit", "1T", "mem"), ("generic_resources", {"gpu": "2"}, None), ("generic_resources", {"gpu": "3"}, "generic_resources.gpu"),
        ("generic_resources", {"fpga": "1"}, "generic_resources.fpga"), ("generic_resources", {"fpga": "0"}, None), ("generic_resources", {"GPU": 1}, "generic_resources.GPU"),
        ("cpu_reservation", 4, None), ("cpu_reservation", 4.5, ""), ("cpu_reservation", 9, "cpu"), ("mem_reservation", "9G", ""), ("mem_reservation", "17G", "mem"),
    ],
)  # fmt: skip
def test_caps(what, value, refused):
    answer = put(SAMPLE, f"{RESOURCES}/{what}", value)
    if refused is None:
        check(answer)
    else:
        assert refusal(answer) == ("resources", f"servers.caps.{refused}" if refused else "")


def test_without_caps_only_generic_resources_are_refused():
    answer = put(put(SAMPLE, f"{RESOURCES}/cpu_limit", 4000), f"{RESOURCES}/mem_limit", "900G")
    assert refusal(answer, caps={})[1] == "servers.caps.generic_resources.gpu"
    assert check(put(answer, f"{RESOURCES}/generic_resources", None), caps={}).cpu_limit == 4000


ASKED_NOTHING = put(SAMPLE, RESOURCES, None)


@pytest.mark.parametrize(
    ("answer", "servers", "expected"),
    [
        (ASKED_NOTHING, {"caps": {}}, (None, None, None, None)),
        (ASKED_NOTHING, {}, (8, None, 16 * G, None)),
        (ASKED_NOTHING, {"cpu_limit": 2, "mem_limit": "4G"}, (2, None, 4 * G, None)),
        (ASKED_NOTHING, {"cpu_guarantee": 0.5, "mem_guarantee": "1G"}, (8, 0.5, 16 * G, G)),
        (SAMPLE, {"cpu_limit": 2, "mem_limit": "4G", "cpu_guarantee": 0.5, "mem_guarantee": "1G"}, (4, 1, 8 * G, 2 * G)),
        (put(put(ASKED_NOTHING, RESOURCES, {"mem_limit": "512M"}), f"{RESOURCES}/cpu_limit", 0.25),
         {"cpu_guarantee": 0.5, "mem_guarantee": "1G"}, (0.25, 0.25, G // 2, G // 2)),
        (put(ASKED_NOTHING, RESOURCES, {"cpu_limit": 0, "mem_limit": 0}), {}, (8, None, 16 * G, None)),
    ],
)  # fmt: skip
def test_defaults_where_xnat_names_nothing(answer, servers, expected):
    plan = check(answer, **servers)
    assert (plan.cpu_limit, plan.cpu_guarantee, plan.mem_limit, plan.mem_guarantee) == expected


# ---- properties

_PARTS = [
    "data",
    "xnat",
    "archive",
    "workspaces",
    "users",
    "alice",
    "bob",
    "..",
    ".",
    "",
    "etc",
    "P1",
    "{username}",
    "a",
    "b",
    "\0",
    "ws",
]
_SOURCES = st.lists(st.sampled_from(_PARTS), max_size=8).map(lambda parts: "/" + "/".join(parts)) | st.text(
    max_size=12
)
_OWN = st.lists(st.sampled_from(["", ".", "x", "..", "alice"]), max_size=3).map(
    lambda parts: "/".join(["/data/xnat/workspaces/users/alice", *parts])
)
_USERS = st.sampled_from(
    ["alice", "bob", "..", ".", "", "a/b", "alice/x", "{username}", "archive", "../archive", "*"]
)
_MOUNTS = st.lists(
    st.builds(
        lambda source, target, kind, read_only: {"source": source, "target": target, "type": kind, "read_only": read_only},
        _SOURCES | _OWN, st.sampled_from(["/data/1", "/data/2", "/workspace/3", "/data/./1", "/etc", "/data/..", "/"]),
        st.sampled_from(["bind", "bind", "volume", None]), st.sampled_from([True, False, None, 0]),
    ),
    min_size=1, max_size=3,
)  # fmt: skip


def under(path, root):
    return path == root or path.startswith(root + "/")


@given(_MOUNTS, _USERS, st.booleans())
@example([mount("/data/xnat/workspaces/users/alice/x", "/data/1", read_only=False)], "alice/x", False)
def test_what_passes_mounts_only_under_the_roots_and_writable_only_ones_own(mounts, user, translated):
    paths = {
        "archive": [{"from": "/data/xnat/archive", "to": "/mnt/a"}],
        "workspaces": [{"from": "/data/xnat/workspaces", "to": "/mnt/w"}],
    }
    archive, workspaces = (
        ("/mnt/a", "/mnt/w/users") if translated else ("/data/xnat/archive", "/data/xnat/workspaces/users")
    )
    options = {"paths": paths} if translated else {}
    roots = [{"path": archive}, {"path": workspaces + "/{username}", "writable": True}]
    try:
        plan = check(mounting(*mounts), username=user, allowed_mounts=roots, **options)
    except (PolicyRefusal, PlanError):
        return
    own = f"{workspaces}/{user}"
    for each in plan.mounts:
        assert ".." not in each.source.split("/")
        assert under(each.source, archive) or under(each.source, own)
        if not each.read_only:
            assert each.source == own
            assert "/" not in user
        assert any(under(each.target, folder) for folder in ("/data", "/workspace"))
    assert len({each.target for each in plan.mounts}) == len(plan.mounts)


def test_the_property_above_sees_plans_that_pass():
    check(mounting(mount("/data/xnat/workspaces/users/alice", "/data/1", read_only=False)))


_AMOUNT = (
    st.none()
    | st.floats(allow_nan=True)
    | st.integers(-2, 20)
    | st.sampled_from(["", "1G", "16G", "99T", "0"])
)


@given(
    st.fixed_dictionaries(
        dict.fromkeys(("cpu_limit", "cpu_reservation", "mem_limit", "mem_reservation"), _AMOUNT)
    )
)
def test_what_passes_never_exceeds_the_caps(resources):
    try:
        plan = check(put(SAMPLE, RESOURCES, resources))
    except (PolicyRefusal, PlanError):
        return
    assert 0 < plan.cpu_limit <= 8
    assert 0 < plan.mem_limit <= 16 * G
    assert plan.cpu_guarantee is None or plan.cpu_guarantee <= plan.cpu_limit
    assert plan.mem_guarantee is None or plan.mem_guarantee <= plan.mem_limit
    assert not math.isnan(plan.cpu_limit)


def test_checking_changes_nothing_of_the_plan_given():
    site = site_of(servers__caps=CAPS, servers__cpu_limit=2)
    plan = read_plan(ASKED_NOTHING, "alice", "", lambda path: path)
    before = replace(plan)
    assert Policy(site).check(plan).cpu_limit == 2
    assert plan == before


# ---- what the site adds


SOFTWARE = {"source": "/mnt/software", "target": "/opt/site"}


def added(answer=SAMPLE, username="alice", **servers):
    """The mounts that the site adds to a plan of XNAT's."""
    return [tuple(each) for each in check(answer, username, **servers).mounts[2:]]


def test_the_sites_own_mounts_come_on_top_whatever_xnat_may_mount():
    volume = {"source": "atlas", "target": "/opt/atlas"}
    assert added(mounts=[SOFTWARE, volume]) == [
        ("bind", "/mnt/software", "/opt/site", True),
        ("volume", "atlas", "/opt/atlas", True),
    ]


@pytest.mark.parametrize(
    ("condition", "gets"),
    [
        ({"images": ["xnat/datascience-*"]}, True), ({"images": ["xnat/datascience-notebook:1.2.*"]}, False), ({"images": ["other/*"]}, False),
        ({"projects": ["P0", "P1"]}, True), ({"projects": ["P2"]}, False), ({"projects": ["p1"]}, False),
        ({"images": ["xnat/*"], "projects": ["P2"]}, False),
    ],
)  # fmt: skip
def test_a_mount_for_some_images_or_projects(condition, gets):
    assert bool(added(mounts=[{**SOFTWARE, **condition}])) is gets


def test_a_mount_of_each_users_own():
    scratch = {"source": "/mnt/scratch/{username}", "target": "/scratch", "writable": True}
    assert added(mounts=[scratch]) == [("bind", "/mnt/scratch/alice", "/scratch", False)]
    # Whose name is that of a folder of the site, or leads out, gets none.
    shared = {"source": "/mnt/scratch/atlas/brain", "target": "/opt/atlas"}
    for name in ("atlas", "alice/secret"):
        plan = check(mounting(), name, mounts=[scratch, shared])
        assert [each.source for each in plan.mounts] == ["/mnt/scratch/atlas/brain"]


def test_servers_find_their_way_out_and_reach_xnat_and_the_hub_directly():
    proxy = "http://proxy.example.org:3128"
    found = check(
        SAMPLE, http_proxy=proxy, no_proxy=["10.0.0.0/8"], environment={"no_proxy": "x"}
    ).environment
    assert found["HTTP_PROXY"] == found["https_proxy"] == proxy
    direct = found["NO_PROXY"].split(",")
    assert {"localhost", "127.0.0.1", "xnat.example.org", "jupyterhub-proxy", "10.0.0.0/8"} <= set(direct)
    assert found["no_proxy"] == "x"
    claims = [{"path": "/data/xnat", "claim_name": "xnat"}]
    site = site_of(orchestrator={"kubernetes": {"claims": claims}}, servers__http_proxy=proxy)
    assert {"hub", "proxy-public", ".svc"} <= set(site_variables(site)["NO_PROXY"].split(","))


def test_servers_without_the_internet_reach_xnat_by_the_way_out_alone():
    site = site_of(orchestrator={"swarm": {"server_networks": 2}}, servers__internet="none")
    found = site_variables(site)
    assert found["https_proxy"] == found["HTTP_PROXY"] == "http://way-out:3128"
    direct = set(found["NO_PROXY"].split(","))
    assert {"jupyterhub", "jupyterhub-proxy", "localhost"} <= direct
    assert "xnat.example.org" not in direct


def test_the_sites_authorities_are_mounted_and_named():
    plan = check(SAMPLE, ca_file="/etc/pki/all.pem", environment={"CURL_CA_BUNDLE": "/x"})
    assert tuple(plan.mounts[2]) == ("bind", "/etc/pki/all.pem", "/etc/xnathub/ca.pem", True)
    named = {name for name, value in plan.environment.items() if value == "/etc/xnathub/ca.pem"}
    assert named == {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
    assert plan.environment["CURL_CA_BUNDLE"] == "/x"


def test_a_target_of_both_the_site_and_xnat_is_refused():
    clash = {"source": "/mnt/software", "target": "/workspace/alice"}
    assert refusal(SAMPLE, mounts=[clash]) == ("mount-target", "servers.mounts")


@pytest.mark.parametrize(
    ("asked", "size", "is_"),
    [
        ("8G", None, 4 * G), ("8G", "1G", G), ("8G", "10G", 8 * G), ("128M", None, None), ("130M", None, 65 * 1024**2), (None, "1G", G),
        (None, None, None),
    ],
)  # fmt: skip
def test_shared_memory_is_half_of_the_memory_unless_said(asked, size, is_):
    answer = put(put(SAMPLE, f"{RESOURCES}/mem_limit", asked), f"{RESOURCES}/mem_reservation", None)
    servers = {"shm_size": size} if size else {}
    assert check(answer, caps={"generic_resources": {"gpu": 2}}, **servers).shm_size == is_
