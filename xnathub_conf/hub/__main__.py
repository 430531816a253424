"""`python -m jupyterhub`, with jsonschema imported first: JupyterHub would bring in its slow checkers."""

import xnathub_conf.site.light_jsonschema  # noqa: F401 - see there

from jupyterhub.app import main  # isort: skip

main()
