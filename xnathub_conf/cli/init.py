"""`xnathub init`."""

import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError
from xnathub_conf.site.schema import schema_text

SCHEMA_FILE = "site.schema.json"
EDITOR_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
"""What tells an editor where the schema is: beside the site file."""

_SOCKET = Path("/var/run/docker.sock")
_DEBIANS_GROUP = 999
"""What the group `docker` often is, for a machine without Docker."""

_ARCHIVE = Path("/data/xnat/archive")
_FIRST_USER = 1000
_EXAMPLE = "https://xnat.example.org"

_ORCHESTRATORS = ", ".join(reversed(list(kinds())))

_QUESTIONS = {
    "xnat_url": "XNAT's address, such as https://xnat.my-hospital.org",
    "public_url": "The hub's address for browsers",
    "image": "An image that XNAT may start, or a pattern",
    "orchestrator": f"What runs the servers: {_ORCHESTRATORS}",
    "uid": "The user ID that XNAT's Tomcat runs as",
    "gid": "Its group ID",
    "docker_gid": f"The group ID that owns Docker's socket on the hub's node: stat -c %g {_SOCKET}",
}


@dataclass
class Answers:
    """What `init` has to know; None where the command line did not say."""

    xnat_url: str | None = None
    public_url: str | None = None
    image: str | None = None
    orchestrator: str | None = None
    uid: int | None = None
    gid: int | None = None
    docker_gid: int | None = None
    example: bool = False


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
    if answers.xnat_url is None:
        print("Give XNAT's address as --xnat-url, or --example to write an example's.", file=sys.stderr)
        return 2
    text = _text(answers)
    if reasons := _reasons(text):
        print("\n".join(reasons), file=sys.stderr)
        return 1
    try:
        path.write_text(text, "utf-8")
        write_schema(path.parent)
    except OSError as error:
        print(f"{error.filename} can't be written: {error.strerror}.", file=sys.stderr)
        return 2
    # Of the others, the secrets are where this is not: in the hub's container.
    then = (
        f"Put the two secrets where it says, then: xnathub validate --secrets {file}"
        if _own_processes(answers)
        else f"Check it with: xnathub validate {file}. How to make its secrets, and the rest: docs/{answers.orchestrator}.md"
    )
    print(f"Wrote {file}, and beside it {SCHEMA_FILE} for editors. {then}")
    return 0


def write_schema(folder: Path) -> None:
    """Write the schema beside a site file, for editors; a file of that name that is something else stays."""
    path = folder / SCHEMA_FILE
    if not path.exists() or '"$id": "urn:xnathub:site:' in path.read_text("utf-8", "replace"):
        path.write_text(schema_text(), "utf-8")


def _reasons(text: str) -> list[str]:
    """List why a text is no valid site file."""
    try:
        load("site.yaml", content=text.encode("utf-8", "surrogateescape"))
    except SiteError as error:
        # An answer is the value alone, which messages for a file give with its key.
        return [
            re.sub(r"`\w+: ([^`{[]+)`", r"\1", f"{problem.message} {problem.fix}".strip())
            for problem in error.problems
        ]
    return []


def _ask(answers: Answers) -> None:
    """Fill in what the command line left open: on a terminal by asking, until the answer can stand in a site file."""
    for name, question in _QUESTIONS.items():
        if getattr(answers, name) is not None or (name == "docker_gid" and not _of_docker(answers)):
            continue
        default = _default(name, answers)
        while True:
            typed = _typed(question, default)
            if typed is None:
                break  # nobody to ask, and nothing to take for granted
            reasons = _unfit(answers, name, typed)
            if not reasons:
                setattr(answers, name, int(typed) if name.endswith("id") else typed)
                break
            print("\n".join(reasons))


def _typed(question: str, default: str) -> str | None:
    if not sys.stdin.isatty():
        return default or None
    while True:
        typed = input(f"{question} [{default}]: " if default else f"{question}: ").strip()
        if typed or default:
            return typed or default


def _unfit(answers: Answers, name: str, typed: str) -> list[str]:
    """List why something typed can't be an answer; beside it, what is not known yet is an example's."""
    if name.endswith("id") and not (typed.isascii() and typed.isdigit()):
        return ["Write a number, as `id` prints it."]
    if name == "orchestrator" and typed not in kinds():
        return [f"Write one of {_ORCHESTRATORS}."]
    if not sys.stdin.isatty():
        return []  # said of the whole, once
    known = replace(answers)
    setattr(known, name, int(typed) if name.endswith("id") else typed)
    filled: dict[str, Any] = {
        field: getattr(known, field)
        if getattr(known, field) is not None
        else _default(field, replace(known, xnat_url=answers.xnat_url or _EXAMPLE))
        for field in _QUESTIONS
    }
    return _reasons(_text(Answers(**filled)))


def _of_docker(answers: Answers) -> bool:
    kind = kinds().get(answers.orchestrator or "")
    return kind is not None and kind.first_site.asks_docker_gid


def _own_processes(answers: Answers) -> bool:
    kind = kinds().get(answers.orchestrator or "")
    return kind is not None and kind.own_processes


def _default(name: str, answers: Answers) -> str:
    """Return what is taken where nothing is typed: for IDs, what this host has."""
    match name:
        case "xnat_url":
            return _EXAMPLE if answers.example else ""
        case "public_url":
            return f"{answers.xnat_url.rstrip('/')}/jupyterhub/" if answers.xnat_url else ""
        case "image":
            return "xnat/*"
        case "orchestrator":
            return "swarm"
        case "docker_gid":
            return str(_owner(_SOCKET, (0, _DEBIANS_GROUP))[1])
    return str(_tomcat()[name == "gid"])


def _tomcat() -> tuple[int, int]:
    """Return the user and group of a Tomcat that runs here, else of XNAT's archive, else those of a host's first user."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"org.apache.catalina.startup.Bootstrap" in command:
            return _owner(process, (_FIRST_USER, _FIRST_USER))
    return _owner(_ARCHIVE, (_FIRST_USER, _FIRST_USER))


def _owner(path: Path, otherwise: tuple[int, int]) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return otherwise
    # Nothing here works as root, whoever owns the folder.
    return (
        status.st_uid or otherwise[0],
        status.st_gid if path == _SOCKET else status.st_gid or otherwise[1],
    )


def _text(answers: Answers) -> str:
    kind = kinds().get(answers.orchestrator or "")
    orchestrator = kind.first_site.section if kind else f"  {json.dumps(answers.orchestrator)}: {{}}"
    hub_group = ids = ""
    if _of_docker(answers):
        what = f"the group that owns Docker's socket on the hub's node: stat -c %g {_SOCKET}"
        hub_group = f"  gid: {answers.docker_gid} # {what}\n"
    if not _own_processes(answers):
        ids = f"  uid: {answers.uid} # the user and group that XNAT's Tomcat runs as\n  gid: {answers.gid}\n"
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
{hub_group}
servers:
{ids}  allowed_images: [{json.dumps(answers.image)}]

orchestrator:
{orchestrator}
"""
