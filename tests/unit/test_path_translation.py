"""The one normal form of a path, and translation by whole components, longest prefix first."""

import posixpath
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from xnathub_conf.values.paths import PathError, PathTranslation, normal_path, prefixes


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/a/b", "/a/b"), ("/a/b/", "/a/b"), ("/a//b", "/a/b"), ("//a/b", "/a/b"), ("///", "/"), ("/", "/"), ("/./a/./b/.", "/a/b"),
        ("/a/...", "/a/..."), ("/a/..b", "/a/..b"), ("/a/b..", "/a/b.."), ("/.a", "/.a"), ("/a b", "/a b"), ("/é/日本", "/é/日本"),
        ("/a\uff0fb", "/a\uff0fb"), ("/a/\u2025/b", "/a/\u2025/b"), ("/a/\uff0e\uff0e/b", "/a/\uff0e\uff0e/b"), ("/a/{username}", "/a/{username}"), ("/a\\..\\b", "/a\\..\\b"),
        ("/a/%2e%2e/b", "/a/%2e%2e/b"),
    ],
)  # fmt: skip
def test_normal_form(path, normal):
    assert normal_path(path) == normal


@pytest.mark.parametrize(
    "path",
    ["", "a", "a/b", "./a", "../a", "~", "..", "/..", "/../a", "/a/..", "/a/../b", "/a/../", "/a//../b", "/a/./../b", "/a\0", "/a\0/b",
     "/a\n", "/a\r/b", "/a\x1f", "/a\x7f", "//a\x7f", "/a/\ud800", "\uff0fa", "C:\\a", "\x00/a", " /a"],
)  # fmt: skip
def test_refused(path):
    with pytest.raises(PathError):
        normal_path(path)


RULES = {
    "/data/xnat/archive": "/mnt/a",
    "/data/xnat": "/mnt/x",
    "/data/xnat/archive/deep/er": "/mnt/d",
    "/loop": "/loop/loop",
}


@pytest.mark.parametrize(
    ("path", "translated"),
    [
        ("/data/xnat/archive", "/mnt/a"),
        ("/data/xnat/archive/P1", "/mnt/a/P1"),
        ("/data/xnat/archives/P1", "/mnt/x/archives/P1"),
        ("/data/xnat/archive-old", "/mnt/x/archive-old"),
        ("/data/xnat", "/mnt/x"),
        ("/data/xnatter/a", "/data/xnatter/a"),
        ("/data", "/data"),
        ("/data/xnat/archive/deep", "/mnt/a/deep"),
        ("/data/xnat/archive/deep/er/x", "/mnt/d/x"),
        ("/data/xnat/archive/deep/erer", "/mnt/a/deep/erer"),
        ("/data/XNAT/archive", "/data/XNAT/archive"),
        ("/x/data/xnat/archive", "/x/data/xnat/archive"),
        ("/mnt/a", "/mnt/a"),
        ("/loop/a", "/loop/loop/a"),  # replaced once, and not again
        ("/", "/"),
        ("/data\uff0fxnat/archive", "/data\uff0fxnat/archive"),
    ],
)
def test_longest_prefix_of_whole_components_wins(path, translated):
    assert PathTranslation(RULES)(path) == translated
    assert PathTranslation(dict(reversed(RULES.items())))(path) == translated


def test_no_rules_change_nothing():
    assert PathTranslation({})("/a/b") == "/a/b"


def test_prefixes():
    assert list(prefixes("/a/b/c")) == ["/a/b/c", "/a/b", "/a"]


_PART = st.text(alphabet="ab.{}\uff0f\u2025é \\%", min_size=1, max_size=4)
_LOOSE = st.lists(
    st.sampled_from(["a", "b", ".", "..", "", "a.", "..a", "\0", "é", "\n"]) | _PART, max_size=7
).map("/".join)


@given(st.text(max_size=30) | _LOOSE | _LOOSE.map("/".__add__))
@example("/" + "a/" * 5000)
@example("/" * 5000)
def test_a_normal_path_is_its_own_normal_form_and_a_real_one(path):
    try:
        normal = normal_path(path)
    except PathError:
        return
    assert normal_path(normal) == normal
    assert normal == "/" + posixpath.normpath(path).lstrip("/")
    assert ".." not in normal.split("/")


def normal(paths):
    return paths.map("/".__add__).filter(
        lambda p: posixpath.normpath(p) == p and ".." not in p.split("/") and p != "/"
    )


_NORMAL = normal(st.lists(st.sampled_from(["a", "b", "aa"]) | _PART, min_size=1, max_size=5).map("/".join))


@given(st.dictionaries(_NORMAL, _NORMAL, max_size=4), _NORMAL)
def test_what_a_rule_gives_lies_under_its_target(rules, path):
    assume(normal_path(path) == path)
    given_path = PathTranslation(rules)(path)
    fitting = [prefix for prefix in rules if path == prefix or path.startswith(prefix + "/")]
    if not fitting:
        assert given_path == path
        return
    target = rules[max(fitting, key=len)]
    assert given_path == target or given_path.startswith(target + "/")
    assert normal_path(given_path) == given_path


def test_a_path_that_linux_can_not_open_is_refused_at_once():
    began = time.process_time()
    for path in ("/" + "a" * 4096, "/a" * 1_000_000, "/" + "\u00e9" * 2048, "/./" * 1_000_000):
        with pytest.raises(PathError, match="longer than 4,096 bytes"):
            normal_path(path)
    assert time.process_time() - began < 1
    assert normal_path("/" + "a" * 4095)
