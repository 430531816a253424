"""What the hub counts on top of JupyterHub, in the same registry: its `/hub/metrics` shows both.

Every label has a fixed set of values, each of which is there from the start, at zero: a dashboard needs no special case
for what has not happened yet.
"""

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
SIGN_INS = Counter("xnathub_sign_ins", "Sign-ins, and attempts that were refused", ["way", "outcome"])
REFUSALS = Counter("xnathub_launches_refused", "Launches that a rule of the site refused", ["rule"])

for _call in get_args(XnatCall):
    for _outcome in get_args(XnatOutcome):
        XNAT_CALLS.labels(_call, _outcome)
for _way in get_args(SignInWay):
    for _outcome in get_args(SignInOutcome):
        SIGN_INS.labels(_way, _outcome)
for _rule in get_args(Rule):
    REFUSALS.labels(_rule)
XNAT_UP.set(float("nan"))
