"""Names of containers, services and pods: DNS labels, and never the same for two servers."""

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jupyterhub.slugs import safe_slug

from xnathub_conf.spawners.object_names import object_name
from xnathub_conf.values.user_names import host_label

LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
PREFIXES = ["jupyter", "x", "abcdefghijklmnop"]
USERS = [
    "alice", "Alice", "ALICE", "alice-", "-alice", "alice.", "alice_", "a.b@c.org", "a-b@c.org", "a.b-c.org", "a", "1", "123", "é", "e",
    "日本", "...", "-", "a--b", "a-b", "a---b", "{username}", "..", "x" * 300, "x" * 299, "x" * 300 + "y", "X" * 300, "alice--lab", "alice-lab",
]  # fmt: skip
SERVERS = ["", "lab", "Lab", "lab-1", "lab_1", "a--b", "b", "é", "l" * 300, "l" * 299, "1"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_user_and_server_has_a_dns_label_of_its_own(prefix):
    names = {(user, server): object_name(prefix, user, server) for user in USERS for server in SERVERS}
    assert len(set(names.values())) == len(names)
    for name in names.values():
        assert LABEL.fullmatch(name), name
        assert name.startswith(prefix + "-")
    assert names == {key: object_name(prefix, *key) for key in names}


def test_nobody_finds_a_name_that_ends_like_anothers():
    """JupyterHub's own names of these two are the same: it keeps 8 digits of a hash."""
    one, other = "aLexAnDrA.HUmbOldT", "aLeXAnDra.HUmboLdt"
    assert safe_slug(one) == safe_slug(other)
    names = [object_name("jupyter", *key) for key in ((one, ""), (other, ""), ("a", one), ("a", other))]
    assert len(set(names)) == len(names)
    assert all(len(name.partition("---")[2]) == 24 for name in names)


def test_plain_names_stay_readable():
    assert object_name("jupyter", "alice", "") == "jupyter-alice"
    assert object_name("jupyter", "alice", "lab1") == "jupyter-alice--lab1"
    assert "a-b-c-org" in object_name("jupyter", "a.b@c.org", "")


def test_a_user_called_like_anothers_name_gets_another():
    """What stands behind the prefix is itself a name that someone may choose in XNAT."""
    for user in USERS:
        for server in ("", "lab"):
            taken = object_name("jupyter", user, server)
            copy = taken.removeprefix("jupyter-")
            if copy != user:
                assert object_name("jupyter", copy, "") != taken
            name, _, server_part = copy.partition("--")
            if (name, server_part) != (user, server):
                assert object_name("jupyter", name, server_part) != taken


_NAME = st.text(alphabet="abAB01-._@{}é ", min_size=1, max_size=40) | st.text(
    alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80
)


@given(_NAME, _NAME | st.just(""), _NAME, _NAME | st.just(""), st.sampled_from(PREFIXES))
@example("a--b", "", "a", "b", "x")
@example("a-", "b", "a", "-b", "x")
def test_different_pairs_have_different_names(user, server, other_user, other_server, prefix):
    assume((user, server) != (other_user, other_server))
    one, other = object_name(prefix, user, server), object_name(prefix, other_user, other_server)
    assert LABEL.fullmatch(one)
    assert one != other


@given(_NAME)
def test_case_and_a_single_character_matter(name):
    variants = {name, name.upper(), name.lower(), name + "-", "-" + name, name + "a", name.replace("-", "_")}
    assert len({object_name("jupyter", each, "") for each in variants}) == len(variants)


@settings(max_examples=2000)
@given(st.text(min_size=1, max_size=80) | st.from_regex(r"[a-zA-Z0-9-]{1,70}", fullmatch=True))
def test_a_label_for_a_host_is_one_and_names_that_differ_have_different_ones(name):
    label = host_label(name)
    assert re.fullmatch(r"(?!.{64})[a-z]([a-z0-9-]*[a-z0-9])?", label)
    assert label[2:4] != "--"
    assert (label == name) or host_label(label) != label


def test_host_names_know_no_upper_case_and_no_signs():
    names = [
        "alice",
        "Alice",
        "ALICE",
        "a.b@c.org",
        "a-b-c-org",
        "müller",
        "muller",
        "o'brien",
        "obrien",
        "x" * 39,
        "x" * 40,
        "1a",
        "-a",
    ]
    labels = [host_label(name) for name in names]
    assert len({label.lower() for label in labels}) == len(names)
    assert labels[0] == "alice"
    assert host_label(labels[1]) != labels[1]
