"""A small site file, ways to change it, and what is said of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import Problem, SiteError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "site.example.yaml"

MINIMAL = """\
version: 1
xnat:
  url: https://xnat.example.org
  service_account:
    password: {file: /run/secrets/xnat_password}
hub:
  api_token: {file: /run/secrets/hub_api_token}
  gid: 999
servers:
  allowed_images: [xnat/*]
orchestrator:
  swarm: {}
"""

SAMPLE = {
    "userId": 7,
    "servername": "",
    "xsiType": "xnat:projectData",
    "itemId": "P1",
    "itemLabel": None,
    "projectId": "P1",
    "eventTrackingId": "20260101T120000Z",
    "dashboardConfigId": None,
    "task_template": {
        "container_spec": {
            "image": "xnat/datascience-notebook:1.3.0",
            "command": None,
            "labels": {},
            "env": {
                "XNAT_HOST": "https://xnat.example.org",
                "XNAT_USER": "alias-1",
                "XNAT_PASS": "s3cr3t-alias",
            },
            "mounts": [
                {
                    "source": "/data/xnat/workspaces/users/alice",
                    "target": "/workspace/alice",
                    "type": "bind",
                    "read_only": False,
                },
                {
                    "source": "/data/xnat/archive/P1/arc001",
                    "target": "/data/projects/P1/experiments",
                    "type": "bind",
                    "read_only": True,
                },
            ],
        },
        "resources": {
            "cpu_limit": 4.0,
            "cpu_reservation": 1.0,
            "mem_limit": "8G",
            "mem_reservation": "2G",
            "generic_resources": {"gpu": "1"},
        },
        "placement": {"constraints": ["node.labels.type==gpu", "node.role!=manager"]},
    },
}
"""The contract's answer of XNAT to `user-options`."""


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(data: Any) -> str:
    """Data as YAML without aliases, in its own order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def put(data: Any, path: str, value: Any) -> Any:
    """Copy data with the value at a dotted path set; missing maps are made, digits are list positions."""
    data = copy.deepcopy(data)
    *above, last = path.split("/")
    node = data
    for part in above:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[int(last) if isinstance(node, list) else last] = value
    return data


def site_text(**changes: Any) -> str:
    """The minimal site with changes, as YAML; `hub__uid=5` sets hub.uid, `orchestrator={...}` replaces it all."""
    data = yaml.safe_load(MINIMAL)
    for path, value in changes.items():
        data = put(data, path.replace("__", "/"), value)
    return dump(data)


def loaded(text: str | bytes, **options: Any) -> LoadedSite:
    return load("site.yaml", content=text.encode() if isinstance(text, str) else text, **options)


def site_of(**changes: Any) -> Any:
    return loaded(site_text(**changes)).site


def problems_of(text: str | bytes, **options: Any) -> list[Problem]:
    """Every problem, of a valid file its warnings."""
    try:
        return list(loaded(text, **options).warnings)
    except SiteError as error:
        return list(error.problems)


def where(text: str, needle: str) -> tuple[int, int]:
    """Line and column, from 1, of the first place of `needle`."""
    before = text[: text.index(needle)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
