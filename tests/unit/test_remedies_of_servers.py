"""Planted mistakes in the keys of what servers are: as compose files, Kubernetes and `ulimit` have them, and as people slip."""

import pytest

from tests.unit.helpers import MINIMAL, problems_of
from tests.unit.test_remedies import SWARM, hub, images, kubernetes, servers, swarm, top


def mount(text):
    return servers(f"mounts: [{{{text}}}]")


def security(text):
    return servers(f"security: {{{text}}}")


def docker(text):
    return MINIMAL.replace(SWARM, f"orchestrator:\n  docker:\n    {text}\n")


def pods(text):
    return kubernetes("").replace("servers:\n", f"servers:\n  {text}\n")


def services(text):
    return hub(f"services: [{text}]")


TO = "target: /opt/x"
KEPT = "start_as_root: false"
BOARD = "api_token: {file: /run/secrets/board}"

PLANTED = [
    # how a piece of the file is made, the mistake, what mends it, and what of that the message names
    # -- /dev/shm
    (servers, "shm_size: 2gb\n  mem_limit: 8G", "shm_size: 2G\n  mem_limit: 8G", "shm_size: 2G"),
    (servers, "shm_size: 1Gi\n  mem_limit: 8G", "shm_size: 1G\n  mem_limit: 8G", "shm_size: 1G"),
    (servers, "shm_size: 64", "shm_size: 64G", "64G"),
    (servers, "shm_size: 16G\n  mem_limit: 8G", "shm_size: 8G\n  mem_limit: 8G", "raise `mem_limit`"),
    (servers, "shmSize: 2G\n  mem_limit: 8G", "shm_size: 2G\n  mem_limit: 8G", "shm_size"),
    (servers, "shm-size: 2G\n  mem_limit: 8G", "shm_size: 2G\n  mem_limit: 8G", "shm_size"),
    (servers, "shm_size: half\n  mem_limit: 8G", "shm_size: 2G\n  mem_limit: 8G", "shm_size: 2G"),
    # -- mounts
    (servers, "mounts: [/opt/x:/opt/x:ro]", "mounts: [{source: /opt/freesurfer, target: /opt/freesurfer}]", ""),
    (servers, "volumes: []", "mounts: []", "servers.mounts"),
    (servers, "volumeMounts: []", "mounts: []", "servers.mounts"),
    (mount, f"source: '/opt/x:ro', {TO}", f"source: /opt/x, {TO}", "Write /opt/x:"),
    (mount, "source: /opt/x, target: '/opt/x:rw'", f"source: /opt/x, {TO}", "Write /opt/x:"),
    (mount, f"source: /opt/x/, {TO}", f"source: /opt/x, {TO}", "source: /opt/x"),
    (mount, f"source: ./x, {TO}", f"source: /opt/site-software, {TO}", "source: /opt/site-software"),
    (mount, f"source: ~/x, {TO}", f"source: /opt/site-software, {TO}", "source: /opt/site-software"),
    (mount, f"source: a/b, {TO}", f"source: /opt/site-software, {TO}", "source: /opt/site-software"),
    (mount, f"source: '/data/{{user}}', {TO}", f"source: '/data/{{username}}', {TO}", "{username}"),
    (mount, f"source: '/data/{{username}}x', {TO}", f"source: '/data/scratch/{{username}}', {TO}", "/data/scratch/{username}"),
    (mount, "source: /opt/x, target: opt/x", "source: /opt/x, target: /opt/site-software", "target: /opt/site-software"),
    (mount, "source: /opt/x, target: /opt", "source: /opt/x, target: /opt/site", "/opt/site"),
    (mount, "source: /opt/x, target: '/opt/{username}'", "source: /opt/x, target: /scratch", "/scratch"),
    (mount, f"source: '/scratch/$USER', {TO}", f"source: '/scratch/{{username}}', {TO}", "/scratch/{username}"),
    (mount, f"source: '/scratch/${{NB_USER}}/x', {TO}", f"source: '/scratch/{{username}}/x', {TO}", "/scratch/{username}/x"),
    (mount, f"source: '/scratch/<username>', {TO}", f"source: '/scratch/{{username}}', {TO}", "/scratch/{username}"),
    (mount, f"source: '/opt/$NAME', {TO}", f"source: /opt/x, {TO}", "path itself"),
    (mount, f"source: '/opt/*', {TO}", f"source: /opt, {TO}", "Write /opt:"),
    (mount, f"source: '/opt/fsl-?/bin', {TO}", f"source: /opt/fsl-6/bin, {TO}", "each folder in an entry of its own"),
    (mount, "source: /opt/x, target: '/opt/%NAME%'", f"source: /opt/x, {TO}", "path itself"),
    (mount, f"source: /opt/x, {TO}, projects: ['{{username}}']", f"source: /opt/x, {TO}, projects: [P1]", "Write an ID, such as P1"),
    (mount, f"source: /opt/x, {TO}, projects: [$PROJECT]", f"source: /opt/x, {TO}, projects: [P1]", "Write an ID, such as P1"),
    (servers, "allowed_mounts: [{path: '/data/xnat/*'}]", "allowed_mounts: [{path: /data/xnat}]", "Write /data/xnat:"),
    (servers, "allowed_mounts: [{path: /data/$USER, writable: true}]", "allowed_mounts: [{path: '/data/{username}', writable: true}]", "/data/{username}"),
    (servers, "registry_logins: {file: '/run/secrets/$NAME'}", "registry_logins: {file: /run/secrets/name}", "path itself"),
    (mount, "source: /opt/x, target: /opt/x}, {source: /opt/y, target: /opt/x/y", "source: /opt/x, target: /opt/x}, {source: /opt/y, target: /opt/y", "Write a target outside /opt/x"),
    (mount, "src: /opt/x, target: /opt/x", f"source: /opt/x, {TO}", "source"),
    (mount, "source: /opt/x, destination: /opt/x", f"source: /opt/x, {TO}", "target"),
    (mount, "source: /opt/x, mountPath: /opt/x", f"source: /opt/x, {TO}", "target"),
    (mount, f"source: /opt/x, {TO}, readOnly: true", f"source: /opt/x, {TO}", "Delete it"),
    (mount, f"source: /opt/x, {TO}, read_only: true", f"source: /opt/x, {TO}", "Delete it"),
    (mount, f"source: /opt/x, {TO}, type: bind", f"source: /opt/x, {TO}", "Delete it"),
    (mount, f"source: /opt/x, {TO}, writable: 'yes'", f"source: '/opt/{{username}}', {TO}, writable: true", "writable: true"),
    (mount, f"source: /opt/x, {TO}, writable: true", f"source: '/opt/{{username}}', {TO}, writable: true", "{username}"),
    (mount, f"source: /opt/x, {TO}, projects: ['*']", f"source: /opt/x, {TO}, projects: [BIG_STUDY]", "BIG_STUDY"),
    (mount, f"source: /opt/x, {TO}, projects: [P 1/..]", f"source: /opt/x, {TO}, projects: [BIG_STUDY]", "BIG_STUDY"),
    (mount, f"source: /opt/x, {TO}, projects: P1", f"source: /opt/x, {TO}, projects: [P1]", "projects: [P1]"),
    (mount, f"source: /opt/x, {TO}, project: [P1]", f"source: /opt/x, {TO}, projects: [P1]", "projects"),
    (mount, f"source: /opt/x, {TO}, images: ['{{username}}x']", f"source: /opt/x, {TO}, images: [xnat/*]", "xnat/*"),
    (mount, f"source: /opt/x, {TO}, images: [other/x]", f"source: /opt/x, {TO}, images: [xnat/x]", "one that they allow"),
    (mount, f"source: /opt/x, {TO}, images: []", f"source: /opt/x, {TO}", "Delete it"),
    (images, "['{username}x']", "[xnat/*]", "xnat/*"),
    (images, "['xnat/{user}']", "[xnat/*]", "xnat/*"),
    # -- names and addresses
    (servers, "dns_search: ['.']", "dns_search: [example.org]", "example.org"),
    (servers, "dns_search: [.example.org]", "dns_search: [example.org]", "example.org"),
    (servers, "dns_search: example.org", "dns_search: [example.org]", "dns_search: [example.org]"),
    (servers, "dns_search: ['a.org, b.org']", "dns_search: [example.org]", "example.org"),
    (swarm, "dns: [ns.example.org]", "dns: [10.0.0.53]", "10.0.0.53"),
    (swarm, "dns: 10.0.0.53", "dns: [10.0.0.53]", "dns: ["),
    (swarm, "dns: ['10.0.0.53:53']", "dns: [10.0.0.5]", "10.0.0.5"),
    (docker, "dns: [127.0.0.53]", "dns: [10.0.0.53]", "the other machine"),
    (servers, "hosts: {a b: 10.0.0.5}", "hosts: {b: 10.0.0.5}", "another name"),
    (servers, "hosts: {pacs: pacs.example.org}", "hosts: {pacs: 10.0.0.5}", "10.0.0.5"),
    (servers, "hosts: {PACS.example.org: 10.0.0.5}", "hosts: {pacs.example.org: 10.0.0.5}", "pacs.example.org"),
    (servers, "hosts: {jupyterhub: 10.0.0.5}", "hosts: {}", "Delete it"),
    (servers, "extra_hosts: []", "hosts: {}", "servers.hosts"),
    (servers, "hostAliases: []", "hosts: {}", "servers.hosts"),
    (servers, "https_proxy: http://p.example.org:3128", "http_proxy: http://p.example.org:3128", "servers.http_proxy"),
    (servers, "no_proxy: [.example.org]", "http_proxy: http://p.example.org:3128", "http_proxy"),
    # -- rights
    (security, "drop_capabilities: [ALL]", f"drop_capabilities: [ALL], {KEPT}", "start_as_root: false"),
    (security, "drop_capabilities: [SETUID, MKNOD, NET_RAW, SETFCAP, SETPCAP, SYS_CHROOT]", "start_as_root: false", "start_as_root: false"),
    (security, f"drop_capabilities: [CAP_ALL], {KEPT}", f"drop_capabilities: [ALL], {KEPT}", "ALL"),
    (security, f"drop_capabilities: [all], {KEPT}", f"drop_capabilities: [ALL], {KEPT}", "ALL"),
    (security, f"drop_capabilities: ALL, {KEPT}", f"drop_capabilities: [ALL], {KEPT}", "drop_capabilities: [ALL]"),
    (security, "cap_drop: []", "", "drop_capabilities"),
    (security, "cap_add: [SYS_PTRACE]", "", "Delete it"),
    (servers, "privileged: true", "", "Delete it"),
    (servers, "securityContext: {}", "security: {}", "servers.security"),
    (security, "runAsUser: 1000", "", "servers.uid"),
    (security, "noNewPrivileges: true", "no_new_privileges: true", "no_new_privileges"),
    (security, "readOnlyRootFilesystem: false", "read_only_root: false", "read_only_root"),
    (security, "read_only_root: true", f"read_only_root: true, {KEPT}", "start_as_root: false"),
    (security, "pids_limit: -1", "pids_limit: 64", "64 or more"),
    (security, "pids_limit: '512'", "pids_limit: 512", "pids_limit: 512"),
    (security, "pidsLimit: 512", "pids_limit: 512", "pids_limit"),
    (security, "ulimits: {memlock: unlimited}", "ulimits: {memlock: -1}", "memlock: -1"),
    (security, "ulimits: {nofile: '1024:2048'}", "ulimits: {nofile: 2048}", "nofile: 2048"),
    (security, "ulimits: {nofile: {soft: 1024, hard: 2048}}", "ulimits: {nofile: 2048}", "nofile: 2048"),
    (security, "ulimits: [nofile=1024]", "ulimits: {nofile: 1024}", "ulimits: {nofile: 1024}"),
    (security, "ulimits: {nofiles: 2048}", "ulimits: {nofile: 2048}", "nofile"),
    (security, "ulimits: {nofile: 10}", "ulimits: {nofile: 256}", "256 or more"),
    (security, "seccomp: RuntimeDefault", "seccomp: default", "`default`"),
    (security, "seccomp: runtime/default", "seccomp: default", "`default`"),
    (security, "user_namespaces: private", "user_namespaces: default", "user_namespaces: default"),
    (security, "selinux: {type: container t}", "selinux: {type: container_t}", "container_t"),
    (security, "apparmor: docker-default", "", "Delete it"),
    # -- the internet, and images ahead
    (servers, "internet: 'no'", "internet: all", "internet"),
    (servers, "internet: false", "internet: all", "internet"),
    (servers, "images_ahead: [xnat/x]", "images_ahead: ['xnat/x:1.3.0']", "xnat/x:1.3.0"),
    (servers, "images_ahead: ['other/x:1']", "images_ahead: []", "take it away"),
    (servers, "images_ahead: 'xnat/x:1'", "images_ahead: ['xnat/x:1']", "images_ahead: ["),
    # -- services and roles
    (services, f"{{name: board, {BOARD}, scopes: [read:user]}}", f"{{name: board, {BOARD}, scopes: ['read:users']}}", "read:users"),
    (services, f"{{name: board, {BOARD}, scopes: 'read:users'}}", f"{{name: board, {BOARD}, scopes: ['read:users']}}", "scopes: ["),
    (services, "{name: board, api_token: abc, scopes: ['read:users']}", f"{{name: board, {BOARD}, scopes: ['read:users']}}", "file: /"),
    # -- pages
    (top, "pages: {notice: [a]}", "pages: {notice: a}", "notice: a"),
    (top, "pages: {links: {Help: https://wiki.example.org}}", "pages: {links: [{text: Help, url: https://wiki.example.org/jupyter}]}", "links: "),
    (top, "pages: {links: [{name: Help, url: https://wiki.example.org}]}", "pages: {links: [{text: Help, url: https://wiki.example.org}]}", "text"),
    # -- networks
    (swarm, "mtu: 100000", "mtu: 9216", "9216 or less"),
    (swarm, "mtu: '1400'", "mtu: 1400", "mtu: 1400"),
    (swarm, "log_options: {max-size: 10m}", "log_driver: local\n    log_options: {max-size: 10m}", "log_driver"),
    (swarm, "networks: licences", "networks: [licences]", "networks: [licences]"),
    (swarm, "networks: [host]", "networks: []", "Make a network"),
    (pods, f"mounts: [{{source: Vol_1, {TO}}}]", f"mounts: [{{source: vol-1, {TO}}}]", "vol-1"),
    (pods, "security: {pids_limit: 100}", "security: {}", "podPidsLimit"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "mistake", "mended", "named"), PLANTED, ids=[each[1][:60] for each in PLANTED]
)
def test_the_remedy_that_a_message_names_mends_the_file(made, mistake, mended, named):
    found = problems_of(made(mistake))
    assert found
    assert all(each.message and each.fix for each in found)
    assert any(named in each.fix for each in found), [each.fix for each in found]
    assert problems_of(made(mended), strict=True) == []


def test_there_are_enough():
    assert len(PLANTED) >= 80


def test_code_has_no_place_in_a_site_file():
    (problem,) = problems_of(kubernetes("") + "extra: {KubeSpawner.modify_pod_hook: x}\n")
    assert problem.fix == "Delete it."
