"""The types of a validated site; made by scripts/generate from schema/site.schema.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from xnathub_conf.values.secret import Secret


@dataclass(frozen=True)
class ServiceAccount:
    """The XNAT user that holds XNAT's role `JupyterHub`; the hub asks as this user what to start."""

    username: str
    password: Secret


@dataclass(frozen=True)
class XnatCalls:
    """Limits on the hub's calls to XNAT."""

    connect_timeout: float
    read_timeout: float
    deadline: float
    retries: int
    concurrency: int
    max_body: int


@dataclass(frozen=True)
class Xnat:
    """The XNAT that this hub serves, and how the hub calls it."""

    url: str
    public_url: str | None
    ca_file: str | None
    verify_tls: bool
    service_account: ServiceAccount
    start_timeout: int
    stop_timeout: int
    calls: XnatCalls


@dataclass(frozen=True)
class HubTls:
    """The certificate with which the hub's proxy speaks https itself, where no web server that does stands before it. Not on Kubernetes, where an Ingress has the certificate."""

    cert: str
    key: str


@dataclass(frozen=True)
class Service:
    """One program that calls the hub."""

    name: str
    api_token: Secret
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Role:
    """Scopes for some users."""

    name: str
    scopes: tuple[str, ...]
    users: tuple[str, ...]


@dataclass(frozen=True)
class Hub:
    """The JupyterHub itself."""

    base_url: str
    public_url: str | None
    user_subdomains: bool
    reverse_proxies: int | None
    trusted_proxies: tuple[str, ...]
    bind_url: str
    tls: HubTls | None
    hub_bind_url: str | None
    hub_connect_url: str | None
    api_token: Secret
    api_scopes: tuple[str, ...]
    metrics_token: Secret | None
    services: tuple[Service, ...]
    roles: tuple[Role, ...]
    uid: int
    gid: int
    db_url: Secret | None
    upgrade_db: bool
    cookie_secret: Secret | None
    admin_users: tuple[str, ...]
    shutdown_on_logout: bool
    allow_named_servers: bool
    named_server_limit_per_user: int


@dataclass(frozen=True)
class SignIn:
    """Who may sign in to the hub. Everybody signs in with their XNAT account."""

    role: str
    everyone: Literal["preference", "always", "never"]
    xnat_session: bool
    foreign_servers: Literal["never", "ask"]
    auth_refresh_age: int
    max_age: int
    token_days: int
    failures_per_user: int
    failures_per_address: int
    failures_window: int


@dataclass(frozen=True)
class AllowedMount:
    """One folder, with all below it, or one volume."""

    path: str
    writable: bool


@dataclass(frozen=True)
class SiteMount:
    """One folder, file or volume, for all servers, or for those of some images or projects."""

    source: str
    target: str
    writable: bool
    images: tuple[str, ...]
    projects: tuple[str, ...]


@dataclass(frozen=True)
class Selinux:
    """The SELinux label of a server's processes, where nodes have SELinux. What is left out the engine chooses."""

    user: str | None
    role: str | None
    type: str | None
    level: str | None


@dataclass(frozen=True)
class Security:
    """What the processes of a server may do to the node that it runs on. Local servers are the hub's own processes, and these keys do nothing there."""

    no_new_privileges: bool
    start_as_root: bool
    drop_capabilities: tuple[
        Literal[
            "ALL",
            "AUDIT_CONTROL",
            "AUDIT_READ",
            "AUDIT_WRITE",
            "BLOCK_SUSPEND",
            "BPF",
            "CHECKPOINT_RESTORE",
            "CHOWN",
            "DAC_OVERRIDE",
            "DAC_READ_SEARCH",
            "FOWNER",
            "FSETID",
            "IPC_LOCK",
            "IPC_OWNER",
            "KILL",
            "LEASE",
            "LINUX_IMMUTABLE",
            "MAC_ADMIN",
            "MAC_OVERRIDE",
            "MKNOD",
            "NET_ADMIN",
            "NET_BIND_SERVICE",
            "NET_BROADCAST",
            "NET_RAW",
            "PERFMON",
            "SETFCAP",
            "SETGID",
            "SETPCAP",
            "SETUID",
            "SYSLOG",
            "SYS_ADMIN",
            "SYS_BOOT",
            "SYS_CHROOT",
            "SYS_MODULE",
            "SYS_NICE",
            "SYS_PACCT",
            "SYS_PTRACE",
            "SYS_RAWIO",
            "SYS_RESOURCE",
            "SYS_TIME",
            "SYS_TTY_CONFIG",
            "WAKE_ALARM",
        ],
        ...,
    ]
    pids_limit: int
    ulimits: Mapping[str, int]
    seccomp: str
    apparmor: str | None
    selinux: Selinux
    user_namespaces: Literal["default", "own", "host"]
    read_only_root: bool


@dataclass(frozen=True)
class Caps:
    """The most that XNAT may ask for. More is refused; a server without a limit gets the cap as its limit."""

    cpu: float | None
    mem: int | None
    generic_resources: Mapping[str, int]


@dataclass(frozen=True)
class Servers:
    """What a user's Jupyter server may be. What XNAT asks for is checked against these rules before each start."""

    uid: int
    gid: int
    environment: Mapping[str, str]
    allowed_images: tuple[str, ...]
    images_ahead: tuple[str, ...]
    allowed_mounts: tuple[AllowedMount, ...]
    allowed_mount_targets: tuple[str, ...]
    mounts: tuple[SiteMount, ...]
    ca_file: str | None
    http_proxy: str | None
    no_proxy: tuple[str, ...]
    dns_search: tuple[str, ...]
    hosts: Mapping[str, str]
    internet: Literal["all", "none"]
    reachable: tuple[str, ...]
    cpu_limit: float | None
    cpu_guarantee: float | None
    mem_limit: int | None
    mem_guarantee: int | None
    shm_size: int | None
    security: Security
    caps: Caps
    concurrent_starts: int
    start_timeout: int
    http_timeout: int
    stop_timeout: int
    sweep_interval: float
    registry_logins: Secret | None
    image_health_checks: bool
    default_url: str


@dataclass(frozen=True)
class PathRule:
    """One prefix and what stands in its place."""

    from_: str
    to: str


@dataclass(frozen=True)
class Paths:
    """Path translation: where the node, or the volume, keeps what XNAT knows under another path. The longest matching prefix wins; only whole path components match. Leave XNAT's own path translation empty."""

    archive: tuple[PathRule, ...]
    workspaces: tuple[PathRule, ...]


@dataclass(frozen=True)
class PageLink:
    """One link."""

    text: str
    url: str


@dataclass(frozen=True)
class Pages:
    """What the hub's pages show of the site."""

    name: str
    logo: str | None
    contact: str | None
    accent: str
    notice: str | None
    links: tuple[PageLink, ...]


@dataclass(frozen=True)
class Logging:
    """What the hub logs."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    format: Literal["text", "json"]
    audit_file: str | None


@dataclass(frozen=True)
class Orchestrator:
    """What runs the servers: exactly one of these."""

    key: ClassVar[str]


@dataclass(frozen=True)
class Local(Orchestrator):
    """Processes of the hub's own user, for demos and development. No isolation: mounts are links, limits and images are not applied. Volumes by name are refused, for a process has none."""

    key: ClassVar[str] = "local"
    directory: str


@dataclass(frozen=True)
class DockerTls:
    """Certificates for the Docker API at a tcp:// address, as DockerSpawner.tls_config."""

    ca_cert: str
    client_cert: str
    client_key: str
    verify: bool


@dataclass(frozen=True)
class Docker(Orchestrator):
    """Containers on one Docker engine."""

    key: ClassVar[str] = "docker"
    network_name: str
    server_networks: int
    networks: tuple[str, ...]
    prefix: str
    docker_host: str
    tls: DockerTls | None
    pull_policy: Literal["always", "ifnotpresent", "never"]
    dns: tuple[str, ...]
    log_driver: str | None
    log_options: Mapping[str, str]
    mtu: int | None


@dataclass(frozen=True)
class Swarm(Orchestrator):
    """Services on a Docker Swarm; the hub runs on a manager."""

    key: ClassVar[str] = "swarm"
    network_name: str
    server_networks: int
    networks: tuple[str, ...]
    prefix: str
    docker_host: str
    tls: DockerTls | None
    placement_constraints: tuple[str, ...]
    endpoint_mode: Literal["vip", "dnsrr"]
    subnet: str | None
    dns: tuple[str, ...]
    log_driver: str | None
    log_options: Mapping[str, str]
    mtu: int | None
    encrypted: bool


@dataclass(frozen=True)
class Claim:
    """One volume claim."""

    path: str
    claim_name: str


@dataclass(frozen=True)
class Toleration:
    """One toleration, as in a pod's spec."""

    key: str | None
    operator: Literal["Equal", "Exists"]
    value: str | None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None


@dataclass(frozen=True)
class Kubernetes(Orchestrator):
    """Pods in one namespace of a Kubernetes cluster."""

    key: ClassVar[str] = "kubernetes"
    namespace: str | None
    claims: tuple[Claim, ...]
    node_selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...]
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"]
    image_pull_secrets: tuple[str, ...]
    generic_resources: Mapping[str, str]
    schedule_timeout: int
    start_as_root: bool


@dataclass(frozen=True)
class Site:
    """Everything that one XNAT site decides about its JupyterHub."""

    version: int
    xnat: Xnat
    hub: Hub
    sign_in: SignIn
    servers: Servers
    paths: Paths
    pages: Pages
    logging: Logging
    orchestrator: Orchestrator
    extra: Mapping[str, Any]
