"""xnathub: one site.yaml becomes a running, secure JupyterHub for XNAT."""

from importlib.metadata import version

__version__ = version("xnathub")
