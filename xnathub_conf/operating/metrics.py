"""What the hub counts on top of JupyterHub, in the same registry: its `/hub/metrics` shows both.

Every label has a fixed set of values, each of which is there from the start, at zero: a dashboard needs no special case
for what has not happened yet.
"""

import shutil
from pathlib import Path
from typing import Literal, get_args

from prometheus_client import Counter, Gauge, Histogram

from xnathub_conf.launch.policy import Rule

XnatCall = Literal["username", "roles", "preference", "user-options", "end-session", "probe"]
"""The hub's calls to XNAT."""

XnatOutcome = Literal[
    "ok", "unauthorized", "too-many-sessions", "forbidden", "not-found", "login-redirect", "bad-answer", "untrusted",
    "unreachable",
]  # fmt: skip
"""How a call to XNAT ends: `ok`, or the kind of XnatError."""

SignInWay = Literal["password", "session"]
SignInOutcome = Literal[
    "ok", "wrong-password", "too-many-failures", "too-many-sessions", "another-session", "no-permission", "xnat-down"
]  # fmt: skip

StartOutcome = Literal["ok", "refused", "failed", "cancelled"]

XNAT_CALLS = Histogram(
    "xnathub_xnat_call_seconds",
    "Calls to XNAT, with the wait for a free thread and all retries",
    ["call", "outcome"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
XNAT_UP = Gauge(
    "xnathub_xnat_up",
    "1 when XNAT answered last as it should and takes the service account, 0 when not, NaN when it was not asked yet",
)
PROXY_UP = Gauge(
    "xnathub_proxy_up",
    "1 when the hub's proxy answered the hub last, 0 when not, NaN when it was not asked yet",
)
CERTIFICATE_ENDS = Gauge(
    "xnathub_certificate_end_seconds",
    "When the certificate of XNAT's address, or of the hub's public one, ends, in seconds of the epoch; NaN where there is none",
    ["whose"],
)
DISK_FREE = Gauge(
    "xnathub_database_disk_free_ratio",
    "The free part of the disk that holds the hub's database; NaN where that is no file",
)
SiteState = Literal["taken", "restart-needed", "invalid"]
"""What the site file is to the hub that runs: what it goes by; that and more, which needs a restart; or not valid."""

RELOADS = Counter("xnathub_site_reloads", "Changes of the site file while the hub runs", ["outcome"])
SITE_STATE = Gauge("xnathub_site_state", "1 for the state of the site file, 0 for the others", ["state"])
STARTS = Counter("xnathub_starts", "Starts of servers by how they ended, as in the audit log", ["outcome"])
SIGN_INS = Counter("xnathub_sign_ins", "Sign-ins, and attempts that were refused", ["way", "outcome"])
REFUSALS = Counter("xnathub_launches_refused", "Launches that a rule of the site refused", ["rule"])

IMAGES_AHEAD = Gauge(
    "xnathub_images_ahead",
    "Images of servers.images_ahead, each counted for every node: there, or missing",
    ["state"],
)

for _call in get_args(XnatCall):
    for _outcome in get_args(XnatOutcome):
        XNAT_CALLS.labels(_call, _outcome)
for _way in get_args(SignInWay):
    for _outcome in get_args(SignInOutcome):
        SIGN_INS.labels(_way, _outcome)
for _state in ("there", "missing"):
    IMAGES_AHEAD.labels(_state)
for _rule in get_args(Rule):
    REFUSALS.labels(_rule)
for _outcome in ("ok", "invalid"):
    RELOADS.labels(_outcome)
for _outcome in get_args(StartOutcome):
    STARTS.labels(_outcome)
for _whose in ("xnat", "public"):
    CERTIFICATE_ENDS.labels(_whose).set(float("nan"))
for _gauge in (XNAT_UP, PROXY_UP, DISK_FREE):
    _gauge.set(float("nan"))


def set_site_state(state: SiteState) -> None:
    """Let the metrics tell the state of the site file."""
    for each in get_args(SiteState):
        SITE_STATE.labels(each).set(each == state)


def site_state() -> SiteState:
    """Return the state of the site file."""
    return next(each for each in get_args(SiteState) if SITE_STATE.labels(each)._value.get())


set_site_state("taken")


def watch_disk(file: Path) -> None:
    """Let the metrics tell how full the disk of the hub's database is."""
    DISK_FREE.set_function(lambda: _free(file))


def _free(file: Path) -> float:
    try:
        disk = shutil.disk_usage(file.parent)
    except OSError:
        return float("nan")
    return disk.free / disk.total if disk.total else float("nan")
