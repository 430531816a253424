"""`xnathub init`."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError
from xnathub_conf.site.schema import schema_text

SCHEMA_FILE = "site.schema.json"
EDITOR_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
"""What tells an editor where the schema is: beside the site file."""

_SOCKET = "/var/run/docker.sock"
_DEBIANS_GROUP = 999
"""What the group `docker` often is, for a machine without Docker."""

_ORCHESTRATORS = {
    "local": "  local: {directory: /var/lib/xnathub}",
    "docker": "  docker: {}",
    "swarm": "  swarm: {}",
    "kubernetes": (
        "  kubernetes:\n"
        "    claims:\n"
        "      - {path: /data/xnat/archive, claim_name: xnat-archive}\n"
        "      - {path: /data/xnat/workspaces, claim_name: xnat-workspaces}"
    ),
}

_QUESTIONS = {
    "xnat_url": ("XNAT's address", "https://xnat.example.org"),
    "public_url": ("The hub's address for browsers, ending in /jupyterhub/", ""),
    "image": ("An image that XNAT may start, or a pattern", "xnat/*"),
    "orchestrator": ("What runs the servers: swarm, docker, kubernetes or local", "swarm"),
}


@dataclass
class Answers:
    """What `init` has to know; None where the command line did not say."""

    xnat_url: str | None = None
    public_url: str | None = None
    image: str | None = None
    orchestrator: str | None = None
    docker_gid: int | None = None


def init(file: str, answers: Answers, *, force: bool) -> int:
    """Write a small, commented site file, asking on a terminal for what the flags left open.

    Gives 1 where an answer can't be part of a site file, and 2 where the file exists and may not be replaced; nothing
    is written then.
    """
    path = Path(file)
    if path.exists() and not force:
        print(f"{file} exists. Name another file, or add --force to replace it.", file=sys.stderr)
        return 2
    try:
        _ask(answers)
    except (EOFError, KeyboardInterrupt):
        print("\nStopped; nothing is written.", file=sys.stderr)
        return 2
    text = _text(answers)
    try:
        load(file, content=text.encode())
    except SiteError as error:
        for problem in error.problems:
            print(f"{problem.message} {problem.fix}".strip(), file=sys.stderr)
        return 1
    try:
        path.write_text(text, "utf-8")
        write_schema(path.parent)
    except OSError as error:
        print(f"{error.filename} can't be written: {error.strerror}.", file=sys.stderr)
        return 2
    print(
        f"Wrote {file}, and beside it {SCHEMA_FILE} for editors. Put the two secrets where it says, then: xnathub validate --secrets {file}"
    )
    return 0


def write_schema(folder: Path) -> None:
    """Write the schema beside a site file, for editors; a file of that name that is something else stays."""
    path = folder / SCHEMA_FILE
    if not path.exists() or '"$id": "urn:xnathub:site:' in path.read_text("utf-8", "replace"):
        path.write_text(schema_text(), "utf-8")


def _ask(answers: Answers) -> None:
    for name, (question, default) in _QUESTIONS.items():
        if getattr(answers, name):
            continue
        if name == "public_url":
            default = f"{(answers.xnat_url or '').rstrip('/')}/jupyterhub/"
        typed = input(f"{question} [{default}]: ").strip() if sys.stdin.isatty() else ""
        setattr(answers, name, typed or default)


def _gid(answers: Answers) -> str:
    """Return the line with the group of Docker's socket, as it is here where the command line does not say."""
    if answers.orchestrator not in {"swarm", "docker"}:
        return ""
    gid = answers.docker_gid
    if gid is None:
        try:
            gid = Path(_SOCKET).stat().st_gid
        except OSError:
            gid = _DEBIANS_GROUP
    return f"  gid: {gid} # the group that owns Docker's socket on the hub's node: stat -c %g {_SOCKET}\n"


def _text(answers: Answers) -> str:
    orchestrator = _ORCHESTRATORS.get(
        answers.orchestrator or "", f"  {json.dumps(answers.orchestrator)}: {{}}"
    )
    return f"""\
{EDITOR_LINE}# How this site's XNAT gets its JupyterHub. Check it with: xnathub validate site.yaml
version: 1

xnat:
  url: {json.dumps(answers.xnat_url)}
  service_account: # the XNAT user with the role JupyterHub
    username: jupyterhub
    password: {{file: /run/secrets/xnat_password}}

hub:
  public_url: {json.dumps(answers.public_url)}
  api_token: {{file: /run/secrets/hub_api_token}} # the same as in XNAT's Jupyter settings
{_gid(answers)}
servers:
  allowed_images: [{json.dumps(answers.image)}]

orchestrator:
{orchestrator}
"""
