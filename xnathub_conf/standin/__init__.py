"""A stand-in for XNAT and its JupyterHub plugin, for demos and tests."""

from .demo import demo_state
from .plugin import HubError, HubLink, HubPlugin
from .records import Dashboard, Environment
from .sample import make_sample_archive
from .server import StandIn
from .state import State

__all__ = [
    "Dashboard",
    "Environment",
    "HubError",
    "HubLink",
    "HubPlugin",
    "StandIn",
    "State",
    "demo_state",
    "make_sample_archive",
]
