"""What follows from the schema of site.yaml and from the chart; scripts/generate writes it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from xnathub_conf.render.kubernetes import (
    PLACEHOLDER_BASE_URL,
    PLACEHOLDER_GID,
    PLACEHOLDER_NAMESPACE,
    PLACEHOLDER_UID,
)

CHART = Path(__file__).resolve().parents[1] / "xnat-jupyterhub-chart"
SITE = CHART.parent / "schema" / "site.schema.json"
SCHEMA = CHART / "values.schema.json"
MANIFESTS = CHART.parent / "xnathub_conf" / "render" / "manifests.yaml"

TEXT = {"type": "string"}
SWITCH = {"type": "boolean"}
QUANTITY = {"type": "string", "pattern": "^[0-9.]+([EPTGMk]i?)?$"}
MAPPING = {"type": "object"}
PATH = {"type": "string", "pattern": "^/[^/]+(/[^/]+)*$"}
NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"}


def fixed(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has these properties and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def site_schema() -> dict[str, Any]:
    """Return the schema of a site.yaml for Kubernetes, whose claims may come from the chart's own values."""
    # Helm's regular expressions know \x0a, and not \u000a.
    schema: dict[str, Any] = json.loads(re.sub(r"\\\\u00([0-9a-f]{2})", r"\\\\x\1", SITE.read_text()))
    orchestrator = schema["properties"]["orchestrator"]
    orchestrator["required"] = ["kubernetes"]
    orchestrator["properties"]["kubernetes"]["required"].remove("claims")
    return schema


def values_schema() -> dict[str, Any]:
    """Return the schema of the chart's values."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of xnat-jupyterhub-chart",
        **fixed(
            site=site_schema(),
            image=fixed(repository=TEXT, tag=TEXT, pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]}),
            imagePullSecrets={"type": "array", "items": NAME},
            secrets=fixed(existingSecret=TEXT, xnatPassword=TEXT, hubApiToken=TEXT, registryLogins=TEXT),
            archive=fixed(claimName=NAME, path=PATH),
            workspaces=fixed(
                claimName=NAME,
                path=PATH,
                create=SWITCH,
                size=QUANTITY,
                accessModes={"type": "array", "minItems": 1, "items": TEXT},
                storageClassName=TEXT,
            ),
            hub=fixed(storage=QUANTITY, storageClassName=TEXT, resources=MAPPING),
            proxy=fixed(resources=MAPPING),
            postgresql=fixed(
                enabled=SWITCH, image=TEXT, storage=QUANTITY, storageClassName=TEXT, resources=MAPPING
            ),
            ingress=fixed(enabled=SWITCH, className=TEXT, host=TEXT, annotations=MAPPING, tlsSecret=TEXT),
            networkPolicy=fixed(enabled=SWITCH, serverEgress={"type": "array", "items": MAPPING}),
            jupyterhub=MAPPING,
            **{"global": MAPPING},
        ),
    }


def manifests(helm: str) -> str:
    """Render the chart's small hub for a site that has placeholders where sites differ."""
    values = {
        "site": {
            "version": 1,
            "xnat": {"url": "https://xnat.example.org", "service_account": {"password": {"env": "X"}}},
            "hub": {
                "base_url": PLACEHOLDER_BASE_URL,
                "api_token": {"env": "X"},
                "uid": PLACEHOLDER_UID,
                "gid": PLACEHOLDER_GID,
            },
            "servers": {"allowed_images": ["x"], "images_ahead": ["x"]},
            "orchestrator": {"kubernetes": {}},
        },
        "secrets": {"existingSecret": "xnathub-secrets"},
        "jupyterhub": {"enabled": False},
    }
    command = [helm, "template", "hub", str(CHART), "--namespace", PLACEHOLDER_NAMESPACE, "--values", "-"]
    text = subprocess.run(
        command, input=json.dumps(values), text=True, check=True, capture_output=True
    ).stdout
    objects = [one for one in yaml.safe_load_all(text) if one]
    for one in objects:
        one["metadata"]["namespace"] = PLACEHOLDER_NAMESPACE
        # What is made anew each time is left to those who fill this in.
        if one["kind"] == "Secret":
            one["data"] = dict.fromkeys(one["data"], "")
        if one["kind"] == "ConfigMap":
            one["data"]["site.yaml"] = ""
        one["metadata"]["labels"] = {"app.kubernetes.io/name": "xnathub"}
        if one["kind"] == "Deployment":
            one["spec"]["template"]["metadata"].pop("annotations", None)
    return yaml.safe_dump_all(objects, sort_keys=False)
