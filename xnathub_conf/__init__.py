"""xnathub: one site.yaml becomes a running, secure JupyterHub for XNAT."""
