"""Values under `extra`: `validate`, which never imports JupyterHub, takes what the real traits take, and nothing else."""

import asyncio
import copy

import pytest
from dockerspawner import DockerSpawner, SwarmSpawner
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.spawner import SimpleLocalProcessSpawner
from kubespawner import KubeSpawner
from traitlets import TraitError

from tests.unit.helpers import problems_of, site_text, where
from xnathub_conf.site.check import check_trait
from xnathub_conf.site.schema import jupyterhub_names
from xnathub_conf.site.yaml_source import Document

CLASSES = (
    JupyterHub, ConfigurableHTTPProxy, Authenticator, SimpleLocalProcessSpawner, DockerSpawner, SwarmSpawner, KubeSpawner,
)  # fmt: skip
VALUES = [
    None, True, False, 0, 1, -1, 2, 70000, 10**19, 0.0, 0.5, 1.0, 1.5, "", "x", "1G", "1", "*", "é", "DEBUG", "debug", "info", "safe",
    "escape", "legacy", "idna", "default", "no.such.Class", "allow-start", "ALWAYS", "always", [], ["x"], ["x", "y"], [1], [1.5], [True],
    [None], [[]], [["a"]], [{}], [{"a": "b"}], {}, {"a": "b"}, {"a": 1}, {"a": None}, {"a": []}, {"a": ["b"]}, {"a": {}}, {"a": {"b": 1}},
    {"a": {"b": {"c": [None]}}}, {"": ""}, {"/a/": "b"}, {"/a": "HTTP://b:80"}, {"a": "http://b"}, {"/": "http:///b"}, {"/": "http://[b"}, {"/": "https://[::1]:9/c"}, {"custom:a": {"description": "b"}},
]  # fmt: skip
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: x}}]
current-context: c
"""
SET_ELSEWHERE = {
    "bind_url", "public_url", "cookie_secret", "authenticator_class", "spawner_class", "config_file", "extra_handlers",
    "extra_log_handlers", "mem_limit", "mem_guarantee", "cpu_limit", "image_pull_secrets", "log_level",
    "allowed_images", "escape",
}  # fmt: skip
"""Traits whose values `extra` can't set in any case."""

NARROWER_HERE = {
    "admin_users", "allowed_users", "blocked_users", "env_keep", "cookie_secret_file", "service_tokens", "custom_scopes", "load_groups", "jinja_environment_options", "db_kwargs",
}  # fmt: skip
"""Traits that take more than JupyterHub can start with: what it does with their values refuses some later."""


def taken_here(form, value):
    document = Document("f")
    check_trait(document, ("extra", "A.b"), form, value)
    return not document.problems


def is_a_slip(form, value):
    """A truth value for a number or a number for a truth value: JupyterHub takes them, and nobody means them."""
    kinds = {form.get("type")} if isinstance(form.get("type"), str) else set(form.get("type", ()))
    if isinstance(value, bool):
        return bool(kinds & {"integer", "number"})
    if isinstance(value, list | dict) and value:
        inner = form.get("items" if isinstance(value, list) else "additionalProperties", {})
        return any(is_a_slip(inner, each) for each in (value if isinstance(value, list) else value.values()))
    return kinds <= {"boolean", "null"} and isinstance(value, int)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_trait_takes_the_same_values_here_and_in_jupyterhub(cls, tmp_path, monkeypatch):
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    # KubeSpawner's constructor reads it, and calls nobody.
    monkeypatch.setattr(
        "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig")
    )

    async def made():
        # Not a stand-in: KubeSpawner's own word for "without a user", whom its constructor asks for a name.
        arguments = {KubeSpawner: {"_mock": True}, ConfigurableHTTPProxy: {"app": JupyterHub()}}
        return cls(**arguments.get(cls, {}))

    holder = asyncio.run(made())
    traits, differ, counts = cls.class_traits(config=True), [], {True: 0, False: 0}
    for name, form in jupyterhub_names()["traits"][cls.__name__].items():
        for value in VALUES if name not in SET_ELSEWHERE else ():
            try:
                traits[name]._validate(holder, copy.deepcopy(value))
                theirs = True
            except (TraitError, ValueError, TypeError):
                theirs = False
            if theirs and (name in NARROWER_HERE or is_a_slip(form, value)):
                continue
            if theirs != taken_here(form, value):
                differ.append(
                    (name, value, "only JupyterHub takes it" if theirs else "only validate takes it")
                )
            counts[theirs] += 1
    assert differ == []
    assert min(counts.values()) > 50


@pytest.mark.parametrize(
    ("orchestrator", "trait", "value", "place", "said"),
    [
        ("swarm", "JupyterHub.active_server_limit", "5", (), 'Found "5"; expected a whole number.'),
        ("swarm", "JupyterHub.active_server_limit", 1.5, (), "Found 1.5; expected a whole number."),
        ("swarm", "JupyterHub.active_server_limit", True, (), "Found true; expected a whole number."),
        ("swarm", "JupyterHub.debug_db", 1, (), "Found 1; expected true or false."),
        ("swarm", "JupyterHub.db_kwargs", ["x"], (), "Found a list of 1; expected keys below it."),
        ("swarm", "JupyterHub.load_groups", {"a": 5}, ("a",), "Found 5; expected a list or keys below it."),
        ("swarm", "JupyterHub.load_groups", {"a": {"user": []}}, ("a", "user"), "There is no such key."),
        ("swarm", "JupyterHub.load_groups", {"a": ["b", "c/d"]}, ("a", 1), "'c/d' can't be an XNAT user's name."),
        ("swarm", "JupyterHub.load_groups", {"a": {"users": ["guest"]}}, ("a", "users", 0), "'guest' can't be an XNAT user's name."),
        ("swarm", "JupyterHub.jinja_environment_options", {"autoescape": False}, ("autoescape",), "There is no such key."),
        ("swarm", "JupyterHub.allow_existing_invalid_named_servers", "x", (), 'Found "x"; expected one of allow-start, allow-delete, autorename.'),
        ("swarm", "JupyterHub.user_redirect_hook", "x", (), 'Found "x"; expected Python code, which a site file can\'t hold.'),
        ("swarm", "Authenticator.blocked_users", ["a", ["b"]], (1,), "Found a list of 1; expected text."),
        ("swarm", "ConfigurableHTTPProxy.command", [], (), "Found an empty list; expected a list or text with at least one entry."),
        ("swarm", "ConfigurableHTTPProxy.auth_token", 5, (), "Found something that is not text; expected text."),
        ("swarm", "ConfigurableHTTPProxy.extra_routes", {"/a/": "b"}, ("/a/",), 'Found "b"; expected an address that begins with https:// or http://.'),
        ("swarm", "SwarmSpawner.poll_jitter", 1.5, (), "Found 1.5; expected a number from 0 to 1."),
        ("docker", "DockerSpawner.post_start_cmd", True, (), "Found true; expected text, or false."),
        ("docker", "DockerSpawner.env_keep", ["a", 1], (1,), "Found 1; expected text."),
        ("kubernetes", "KubeSpawner.slug_scheme", "x", (), 'Found "x"; expected one of safe, escape.'),
        ("kubernetes", "KubeSpawner.k8s_api_verify_ssl", "x", (), 'Found "x"; expected true or false or nothing.'),
        ("swarm", "JupyterHub.db_kwargs", {"size": 5}, ("size",), "There is no such key."),
        ("swarm", "JupyterHub.db_kwargs", {"echo": True}, ("echo",), "There is no such key."),
        ("swarm", "JupyterHub.db_kwargs", {"pool_size": "5"}, ("pool_size",), 'Found "5"; expected a whole number of at least 0.'),
        ("swarm", "JupyterHub.service_tokens", {"s3cr3t": "a"}, (), "This can't be a name here; expected a token of 8 or more characters."),
        ("swarm", "JupyterHub.service_tokens", {"s3cr3t-s3cr3t": "a"}, (), "The token of the service a is weak. It has 13 characters; expected at least 32 printable ASCII characters."),
        ("swarm", "JupyterHub.service_tokens", {"ab" * 16: "a"}, (), "The token of the service a is weak. It is made of 2 different characters, and so can be guessed; expected a random one."),
        ("swarm", "JupyterHub.cookie_secret_file", "", (), "Found text; expected text that is not empty."),
        ("swarm", "JupyterHub.custom_scopes", {"imaging": {"description": ""}}, ("imaging",), "imaging can't be a name here; expected a name such as custom:imaging:read."),
        ("swarm", "JupyterHub.custom_scopes", {"custom:x:y": {}}, ("custom:x:y", "description"), "Required key is missing."),
        ("swarm", "JupyterHub.custom_scopes", {"custom:x:y": {"description": "", "subscopes": ["self"]}}, ("custom:x:y", "subscopes", 0), "JupyterHub has no scope self."),
        ("swarm", "JupyterHub.extra_user_scopes", ["self", "custom:x:y"], (1,), "JupyterHub has no scope custom:x:y."),
        ("swarm", "JupyterHub.extra_user_scopes", ["self!me"], (0,), "JupyterHub has no filter !me."),
        ("swarm", "SwarmSpawner.env_keep", ["A", None], (1,), "Found nothing; expected text."),
        ("docker", "JupyterHub.generate_config", True, (), "JupyterHub.generate_config is decided elsewhere."),
        ("docker", "DockerSpawner.allowed_images", "*", (), "DockerSpawner.allowed_images is decided elsewhere."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_where_it_stands_and_what_was_expected(orchestrator, trait, value, place, said):
    settings = {
        "local": {"directory": "/d"},
        "kubernetes": {"claims": [{"path": "/data/xnat", "claim_name": "x"}]},
    }
    text = site_text(
        orchestrator={orchestrator: settings.get(orchestrator, {})},
        extra={"JupyterHub.cleanup_proxy": True, trait: value},
    )
    (problem,) = problems_of(text)
    assert (problem.path, problem.message, problem.severity) == (("extra", trait, *place), said, "error")
    assert problem.line >= where(text, f"{trait}:")[0]
    assert problem.column > 1
