"""A stand-in for XNAT and its JupyterHub plugin, for demos and tests."""

from .demo import demo_state
from .plugin import HubError, HubLink, HubPlugin
from .sample import make_sample_archive
from .server import StandIn
from .state import Environment, State

__all__ = [
    "Environment",
    "HubError",
    "HubLink",
    "HubPlugin",
    "StandIn",
    "State",
    "demo_state",
    "make_sample_archive",
]
