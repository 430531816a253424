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
  hub: {baseUrl: /, concurrentSpawnLimit: 64, consecutiveFailureLimit: 5, db: {type: sqlite-pvc}}
  singleuser: {storage: {type: dynamic}}
"""
"""The same of Zero to JupyterHub itself."""

PASSWORD = "jupyterhub"  # noqa: S105 - the one that everybody knows
"""The service account's password in the example files."""

ARCHIVE, WORKSPACES = "/data/xnat/archive", "/data/xnat/workspaces"
"""Where XNAT's container has the archive and the workspaces."""

STATEMENTS = frozenset([
    "bfce9eeca678", "7c26f03b300e", "efbd84ee612d", "d7e59f175293", "ac77beece592", "6f4fd79cc62b", "5d9e4413e168", "753d692d733f",
    "745b4e2dfd10", "59f682416f3d", "6c3f201d30f3", "83dbabaf0a20", "6f65927afc92", "9e86c68dc0a5", "30dce65e5157", "b1f5728a9e9a",
    "7e5e64e34311", "cbf7c800a18f", "7eee7f80b126", "9ab4d01ffc55", "59eb2e5ce5ff", "b4d9b6b72d57",
])  # fmt: skip
"""Digests of the statements of its jupyterhub_config.py, in any of its versions, that set nothing on `c` by themselves: classes, hooks, conditions."""
