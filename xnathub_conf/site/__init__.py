"""From site.yaml to an immutable Site, and to what it sets in JupyterHub."""
