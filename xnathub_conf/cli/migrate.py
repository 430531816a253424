"""`xnathub migrate`."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xnathub_conf.cli.init import EDITOR_LINE, write_schema
from xnathub_conf.cli.reports import write_out
from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.carry import Carrying, carry
from xnathub_conf.migration.sources import read_old
from xnathub_conf.render.yaml_text import yaml_text
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import SiteError

SECRETS_PATHS = {"swarm": "/run/secrets", "kubernetes": "/etc/xnathub/secrets"}
"""Where the hub's container finds its secrets, unless the command line says otherwise."""


@dataclass(frozen=True)
class Options:
    """What the command line of `migrate` says."""

    files: Sequence[str]
    env_files: Sequence[str]
    service: str | None
    output: str
    secrets_dir: str
    secrets_path: str | None
    public_url: str | None
    images: Sequence[str]
    force: bool


def migrate(options: Options, environment: Mapping[str, str]) -> int:
    """Write a site file and its secrets from the reference deployment's files, and say what went where.

    Gives 1 where what is in the files can't be a site, 2 where a file is not there, or one exists that may not be
    replaced. Nothing is written then.
    """
    try:
        old = read_old(
            [*map(Path, options.files)], [*map(Path, options.env_files)], environment, options.service
        )
        path = options.secrets_path or SECRETS_PATHS[old.kind]
        carrying = carry(old, secrets_path=path, images=options.images, public_url=options.public_url)
        text = _site_text(carrying, options)
        loaded = load(options.output, content=text.encode())
    except MigrationError as error:
        print(error, file=sys.stderr)
        return 1
    except SiteError as error:
        print(
            "The old settings can't be a site as they are. What is wrong with the site that they make:",
            file=sys.stderr,
        )
        print(error, file=sys.stderr)
        return 1
    folder = Path(options.secrets_dir)
    files = [(folder / name, value + "\n", 0o600) for name, value in carrying.secrets.items()]
    files.append((Path(options.output), text, 0o644))
    there = [str(file) for file, _, _ in files if os.path.lexists(file)]
    if there and not options.force:
        print(
            f"{', '.join(there)} exist{'s' * (len(there) == 1)}. Name other places, or add --force to replace.",
            file=sys.stderr,
        )
        return 2
    try:
        _write(folder, files)
        write_schema(Path(options.output).parent)
    except OSError as error:
        print(f"{error.filename} can't be written: {error.strerror}. Nothing is changed.", file=sys.stderr)
        return 2
    write_out("".join(f"{line}\n" for line in _report(carrying, loaded, options)))
    return 0


def _site_text(carrying: Carrying, options: Options) -> str:
    files = ", ".join(options.files)
    return (
        f"{EDITOR_LINE}# Made by `xnathub migrate` from {files}. Check it with: xnathub validate {options.output}\n"
        + yaml_text(carrying.site)
    )


def _write(folder: Path, files: Sequence[tuple[Path, str, int]]) -> None:
    """Write all files or none: each beside its place first, then into it."""
    with contextlib.ExitStack() as undo:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made: list[tuple[Path, Path]] = []
        for file, text, mode in files:
            if file.is_dir():
                raise IsADirectoryError(21, "it is a folder", str(file))
            beside = file.with_name(f".{file.name}.{os.getpid()}")
            undo.callback(beside.unlink, missing_ok=True)
            with os.fdopen(
                os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
            ) as stream:
                stream.write(text)
            made.append((beside, file))
        for beside, file in made:
            beside.replace(file)


def _report(carrying: Carrying, loaded: LoadedSite, options: Options) -> Iterator[str]:
    kind = carrying.old.kind
    yield f"Wrote {options.output}"
    for name in carrying.secrets:
        yield f"Wrote {Path(options.secrets_dir, name)}, for its owner alone"
    yield "\nCarried over:"
    for each in carrying.carried:
        note = f" ({each.note})" if each.note else ""
        yield f"  {each.origin}: {each.name} -> {each.key}: {json.dumps(each.value, ensure_ascii=False)}{note}"
    if carrying.left:
        yield "\nNot carried over:"
        for left in carrying.left:
            yield f"  {left.origin}: {left.name}: {left.why}"
    yield "\nTo do:"
    steps = [*carrying.to_do, *(f"{warning.message} {warning.fix}".strip() for warning in loaded.warnings)]
    if kind == "swarm":
        steps += [
            f"docker secret create {name} {Path(options.secrets_dir, name)}" for name in carrying.secrets
        ]
        steps.append(
            f"xnathub render swarm {options.output} > xnathub-stack.yml, and deploy that (docs/swarm.md)"
        )
    else:
        given = " ".join(f"--from-file={Path(options.secrets_dir, name)}" for name in carrying.secrets)
        steps.append(f"kubectl create secret generic xnathub-secrets {given}".rstrip())
        steps.append(
            f"xnathub render kubernetes {options.output} > values.yaml, and install the chart with it (docs/kubernetes.md)"
        )
    for number, step in enumerate(steps, 1):
        yield f"  {number}. {step}"
