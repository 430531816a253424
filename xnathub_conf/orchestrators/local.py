"""Processes of the hub's own user, for demos and development."""

from collections.abc import Iterator

from xnathub_conf.site.kinds import Fault, FirstSite, Kind, Setting
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.types import Local, Site


def _traits(_local: Local, site: Site) -> Iterator[Setting]:
    key: KeyPath = ("servers", "stop_timeout")
    # SIGINT, then SIGTERM, then SIGKILL. A Jupyter server whose loop has ended may still wait for a thread that asks
    # a package index for news, and no signal but the last ends that: JupyterHub's own 30 s must not come on top.
    again = site.servers.stop_timeout // 2
    yield Setting("SimpleLocalProcessSpawner.interrupt_timeout", site.servers.stop_timeout - again, key)
    yield Setting("SimpleLocalProcessSpawner.term_timeout", again, key)


KIND = Kind(
    settings=Local,
    name="servers of the hub's own machine",
    server="its process",
    adapter="xnathub_conf.spawners.local:XnatLocalSpawner",
    spawner="SimpleLocalProcessSpawner",
    traits=_traits,
    plan_traits=("cmd", "environment", "args"),
    without_effect={"home_dir_template": "Use `orchestrator.local.directory`."},
    instead={
        **dict.fromkeys(
            (
                *("cpu_limit", "cpu_guarantee", "mem_limit", "mem_guarantee", "image", "allowed_images"),
                *("extra_container_spec", "extra_task_spec", "extra_create_kwargs", "extra_host_config"),
                *("pod_security_context", "container_security_context", "allow_privilege_escalation"),
            ),
            "A process of the hub's own has no image, no limits and the hub's rights: delete it.",
        ),
        **dict.fromkeys(
            ("uid", "gid", "fs_gid", "supplemental_gids"), "Processes run as the hub's own user: delete it."
        ),
        "working_dir": "Use `orchestrator.local.directory`.",
        **dict.fromkeys(
            ("delete_grace_period", "interrupt_timeout", "term_timeout"), "Use `servers.stop_timeout`."
        ),
    },
    own_processes=True,
    unused=(
        *("images_ahead", "dns_search", "hosts", "shm_size", "uid", "gid", "registry_logins"),
        *("cpu_limit", "cpu_guarantee", "mem_limit", "mem_guarantee"),
    ),
    hub_host="127.0.0.1",
    bind_host="127.0.0.1",
    volume=lambda _name: Fault("path", "Local servers have no volumes.", "Write an absolute path."),
    doctor="xnathub_conf.doctor.files:local_checks",
    first_site=FirstSite("  local: {directory: /var/lib/xnathub}"),
    applied="A hub of this host's own processes takes its file when it starts: `xnathub run site.yaml`.",
)
