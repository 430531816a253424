"""A configured JupyterHub."""
