"""What the hub replaces, overrides or calls in packages below it although it is private there.

A new version of theirs may rename or change it without a word, and the hub would silently do without.
"""

import asyncio
import inspect
from importlib import import_module

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from xnathub_conf.operating import database_errors
from xnathub_conf.operating.replaced_names import NameGone, replace_name

SIGNATURES = {
    # Replaced
    "jupyterhub.oauth.provider:hash_token": "(token, salt=8, rounds=16384, algorithm='sha512')",
    "jupyterhub.orm:register_ping_connection": "(engine)",
    "jupyterhub.slugs:is_valid_safe_slug": "(s, max_length=30)",
    "jupyterhub.user:User.spawn": "(self, server_name='', display_name='', options=None, handler=None)",
    "jupyterhub.user:User.stop": "(self, server_name='')",
    # Overridden
    "jupyterhub.handlers.base:BaseHandler._set_cookie": "(self, key, value, encrypted=True, **overrides)",
    "jupyterhub.handlers.login:LoginHandler._render": "(self, login_error=None, username=None, **kwargs)",
    "jupyterhub.handlers.login:LogoutHandler._backend_logout_cleanup": "(self, name)",
    "dockerspawner:DockerSpawner._render_templates": "(self, obj, ns=None)",
    "kubespawner:KubeSpawner._build_common_annotations": "(self, extra_annotations)",
    "kubespawner:KubeSpawner._build_pod_labels": "(self, extra_labels)",
    "kubespawner:KubeSpawner._make_create_pod_request": "(self, pod, request_timeout)",
    "kubespawner:KubeSpawner._start_reflector": "(self, kind, reflector_class, replace=False, **kwargs)",
    # Called
    "jupyterhub.dbutil:_temp_alembic_ini": "(db_url)",
    "kubespawner:KubeSpawner._get_reflector_key": "(self, kind)",
    "kubespawner:KubeSpawner._sorted_dict_values": "(self, src)",
    "kubespawner:KubeSpawner._start": "(self)",
    "kubespawner:KubeSpawner._start_watching_pods": "(self, replace=False)",
}

ATTRIBUTES = {
    "jupyterhub.user:User": ("_auth_refreshed",),
    "jupyterhub.spawner:Spawner": ("_start_pending", "_stop_pending", "_waiting_for_response"),
    "dockerspawner:DockerSpawner": ("_get_default_format_volume_name", "_object_name_default"),
}


def found(place):
    module, names = place.split(":")
    value = import_module(module)
    for name in names.split("."):
        value = getattr(value, name)
    return inspect.unwrap(value)


@pytest.mark.parametrize("place", SIGNATURES)
def test_a_name_is_there_with_its_signature(place):
    signature = inspect.signature(getattr(found(place), "func", found(place)))
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    assert (
        str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
        == SIGNATURES[place]
    )


@pytest.mark.parametrize(
    ("place", "name"), [(place, name) for place in ATTRIBUTES for name in ATTRIBUTES[place]]
)
def test_an_attribute_is_there(place, name):
    assert hasattr(found(place), name)


def test_a_name_that_is_gone_is_an_error():
    provider = import_module("jupyterhub.oauth.provider")
    with pytest.raises(NameGone, match=r"provider\.hash_secret\(token\) does not exist"):
        replace_name(provider, "hash_secret", "(token)", lambda token: token)


def test_a_name_that_has_changed_is_an_error():
    orm = import_module("jupyterhub.orm")
    with pytest.raises(NameGone):
        replace_name(orm, "get_class", "(no, such, signature)", lambda: None)


def test_a_commit_that_fails_is_noticed_and_the_session_is_good_again(monkeypatch):
    monkeypatch.setattr(database_errors, "_last_error", -100.0)
    engine = create_engine("sqlite://")
    session = Session(engine)
    event.listen(session, "after_begin", database_errors._know_session)
    event.listen(engine, "handle_error", database_errors._notice_commit)

    def fail(_connection):
        import sqlite3

        raise sqlite3.OperationalError("disk I/O error")

    async def hub():
        session.execute(text("CREATE TABLE a (b)"))
        session.execute(text("PRAGMA foreign_keys = ON"))
        monkeypatch.setattr(engine.dialect, "do_commit", fail)
        with pytest.raises(OperationalError):
            session.commit()
        assert database_errors.failed_just_now()
        monkeypatch.undo()
        await asyncio.sleep(0)
        session.execute(text("SELECT 1"))

    asyncio.run(hub())


def test_a_wrapper_of_somebody_else_does_not_keep_ours_away():
    program = """
from functools import wraps
from jupyterhub.user import User
def other(method):
    @wraps(method)
    async def wrapped(*arguments, **named):
        return await method(*arguments, **named)
    return wrapped
User.stop = theirs = other(User.stop)
from xnathub_conf.operating.database_errors import survive_database_errors
survive_database_errors()
assert User.stop is not theirs and User.stop.__wrapped__ is theirs
ours = User.stop
survive_database_errors()
assert User.stop is ours
"""
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
