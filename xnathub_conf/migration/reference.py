"""What the reference deployment has by default: its image, its chart and XNAT's plugin; and the chart that its own is built on."""

IMAGE = {
    "JH_NETWORK": "jupyterhub-network",
    "JH_XNAT_USERNAME": "jupyterhub",
    "JH_START_TIMEOUT": "180",
    "JH_HTTP_TIMEOUT": "75",
}
"""The variables that the image sets. Its address, password and token are nobody's own, and not taken for anybody's."""

CHART = {
    **{name: value for name, value in IMAGE.items() if name != "JH_NETWORK"},
    "JH_XNAT_URL": "http://xnat-xnat-web",
    "JH_XNAT_UID": "0",
    "JH_XNAT_GID": "0",
    "JH_XNAT_ARCHIVE_PVC": "archive",
    "POSTGRES_DB": "jupyterhub",
    "POSTGRES_USER": "jupyterhub",
    "POSTGRES_PORT": "5432",
}
"""The variables that the chart sets."""

CHART_VALUES = """\
postgresql: {enabled: true}
jupyterhub:
  hub:
    baseUrl: /jupyterhub
    allowNamedServers: true
    concurrentSpawnLimit: 64
    consecutiveFailureLimit: 5
    db: {type: postgres}
    extraConfig: {shutdownOnLogout: c.JupyterHub.shutdown_on_logout = True}
  singleuser:
    networkPolicy: {enabled: false}
    storage: {type: static, static: {pvcName: workspaces, subPath: "users/{unescaped_username}"}}
"""
"""The values that the chart sets, as far as they have a part in a site."""

ZERO_VALUES = """\
jupyterhub:
  hub: {baseUrl: /, allowNamedServers: false, concurrentSpawnLimit: 64, consecutiveFailureLimit: 5, db: {type: sqlite-pvc}}
  singleuser: {storage: {type: dynamic}}
"""
"""The same of Zero to JupyterHub itself."""

PASSWORD = "jupyterhub"  # noqa: S105 - the one that everybody knows
"""The service account's password in the example files."""

ARCHIVE, WORKSPACES = "/data/xnat/archive", "/data/xnat/workspaces"
"""Where XNAT's container has the archive and the workspaces."""
