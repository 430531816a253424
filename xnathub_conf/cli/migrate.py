"""`xnathub migrate`."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xnathub_conf.cli.init import EDITOR_LINE, SCHEMA_FILE, write_schema
from xnathub_conf.cli.reports import write_out
from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.carry import FOLDERS, carry, without_folders
from xnathub_conf.migration.change_over import old_hub_away
from xnathub_conf.migration.compose import read_text
from xnathub_conf.migration.hiding import without_addresses_secrets
from xnathub_conf.migration.ledger import Ledger, NotCarriedError
from xnathub_conf.migration.report import Report
from xnathub_conf.migration.sources import Old, read_old
from xnathub_conf.migration.without_hub import patch, without
from xnathub_conf.operating.log_text import in_one_line
from xnathub_conf.render.yaml_text import yaml_text
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import KeyPath, Problem, SiteError, dotted


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
    xnat_url: str | None = None
    without_hub: str | None = None
    format: str = "text"
    dry_run: bool = False


def migrate(options: Options, environment: Mapping[str, str]) -> int:
    """Write a site file and its secrets from the reference deployment's files, and say what went where.

    Gives 1 where what is in the files can't be a site, 2 where a file is not there, or one exists that may not be
    replaced. Nothing is written then.
    """
    try:
        old = read_old(
            [*map(Path, options.files)], [*map(Path, options.env_files)], environment, options.service
        )
        path = options.secrets_path or kinds()[old.kind].secrets_path
        ledger = carry(
            old,
            secrets_path=path,
            images_allowed=options.images,
            public_url=options.public_url,
            xnat_url=options.xnat_url,
        )
        text, loaded = _fitting(ledger, options)
        without_hub = _without_hub(old, options)
    except (MigrationError, NotCarriedError) as error:
        print(in_one_line(without_addresses_secrets(str(error))), file=sys.stderr)
        return 1
    except SiteError as error:
        print(
            "The old settings can't be a site as they are. What is wrong with the site that they make:",
            file=sys.stderr,
        )
        print(without_addresses_secrets(str(error)), file=sys.stderr)
        return 1
    folder = Path(options.secrets_dir)
    files = [(folder / name, value + "\n", 0o600) for name, value in ledger.secrets.items()]
    files += [(Path(options.output), text, 0o644), *without_hub]
    there = [str(file) for file, _, _ in files if os.path.lexists(file)]
    if there and not options.force and not options.dry_run:
        print(
            f"{', '.join(there)} exist{'s' * (len(there) == 1)}. Name other places, or add --force to replace.",
            file=sys.stderr,
        )
        return 2
    try:
        if not options.dry_run:
            _write(folder, files)
            write_schema(Path(options.output).parent)
    except OSError as error:
        print(f"{error.filename} can't be written: {error.strerror}. Nothing is changed.", file=sys.stderr)
        return 2
    written = [
        options.output,
        f"{Path(options.output).parent / SCHEMA_FILE}, for editors",
        *(f"{folder / name}, for its owner alone" for name in ledger.secrets),
        *(str(file) for file, _, _ in without_hub),
    ]
    _say(Report(ledger, written, [*_steps(ledger, old, loaded, options)], options.dry_run), options.format)
    return 0


def _say(report: Report, form: str) -> None:
    if form == "json":
        write_out(json.dumps(report.data(), indent=2) + "\n")
    else:
        lines = report.markdown() if form == "markdown" else report.text()
        write_out("".join(f"{line}\n" for line in lines))


def _fitting(ledger: Ledger, options: Options) -> tuple[str, LoadedSite]:
    """Make the site's text. What of the old settings no site can hold is taken out of it, and said.

    Raises SiteError where what is left is no site.
    """
    while True:
        text = _site_text(ledger, options)
        try:
            loaded = load(options.output, content=text.encode())
        except UnicodeEncodeError:
            raise MigrationError(
                "A variable of the shell, or an option, holds what is no UTF-8 text. Set it anew."
            ) from None
        except SiteError as error:
            errors = [
                each for each in error.problems if each.severity == "error" and each.path not in _REQUIRED
            ]
            # Of one list one entry a round, with all that is said of it: then the others have other numbers.
            of_entries: dict[KeyPath, list[Problem]] = {}
            for problem in errors:
                of_entries.setdefault(_entry(problem.path), []).append(problem)
            lists: set[KeyPath] = set()
            taken = []
            for entry, problems in of_entries.items():
                if entry[:-1] not in lists:
                    taken.append(_withdrawn(ledger, problems))
                if entry and isinstance(entry[-1], int):
                    lists.add(entry[:-1])
            if not any(taken):
                raise
        else:
            named = {Path(file).name for file in _files(ledger.site)}
            ledger.secrets = {name: value for name, value in ledger.secrets.items() if name in named}
            return text, loaded


def _entry(path: KeyPath) -> KeyPath:
    """Return the path of the list's entry that a key lies in, or else the key's own."""
    number = next((place for place, part in enumerate(path) if isinstance(part, int)), len(path))
    return path[: number + 1]


def _withdrawn(ledger: Ledger, problems: Sequence[Problem]) -> bool:
    """Take what problems are about out of the site: the value at their key, else one that they say contradicts it."""
    problem = problems[0]
    whys = []
    for each in problems:
        fix = "No key of site.yaml stands for it." if each.fix == "Delete it." else each.fix
        whys.append(f"{each.message} {fix}".strip())
    why = " ".join(dict.fromkeys(whys))
    if problem.path[:2] == ("servers", "environment") and str(problem.path[-1]) not in why:
        why = f"{problem.path[-1]}: {why}"
    if any(problem.path[: len(key)] == key for key in FOLDERS):
        return without_folders(ledger, why)
    if problem.path and ledger.withdraw(problem.path, why):
        return True
    keys = [
        key for entry in ledger.entries for key in entry.keys if key not in _REQUIRED and dotted(key) in why
    ]
    return bool(keys) and ledger.withdraw(keys[0], f"{dotted(problem.path)}: {why}")


_REQUIRED = {
    ("xnat", "url"),
    ("hub", "api_token"),
    ("xnat", "service_account", "password"),
    ("orchestrator",),
}
"""Keys without which there is no site."""


def _without_hub(old: Old, options: Options) -> list[tuple[Path, str, int]]:
    """Return the compose file without the hub's service, and the patch that makes it."""
    if options.without_hub is None:
        return []
    if not (old.compose and old.service):
        raise MigrationError("--without-hub is for a compose or stack file.")
    own = [node for node in old.service.nodes if node.path[1:] == (old.service.name,)]
    file = own[-1].file if own else options.files[0]
    text = read_text(Path(file))
    result = without(text, file, old.service.name)
    target = Path(options.without_hub)
    return [
        (target, result, 0o644),
        (target.with_name(target.name + ".patch"), patch(text, result, file), 0o644),
    ]


def _site_text(ledger: Ledger, options: Options) -> str:
    files = ", ".join(options.files)
    return (
        f"{EDITOR_LINE}# Made by `xnathub migrate` from {files}. Check it with: xnathub validate {options.output}\n"
        + yaml_text(ledger.site)
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


def _files(data: object) -> Iterator[str]:
    """Return the files of secrets that a site names."""
    for each in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        if isinstance(each, dict) and set(each) == {"file"} and isinstance(each["file"], str):
            yield each["file"]
        else:
            yield from _files(each)


def _steps(ledger: Ledger, old: Old, loaded: LoadedSite, options: Options) -> Iterator[str]:
    yield from ledger.to_do
    yield from (
        f"{dotted(warning.path)}: {warning.message} {warning.fix}".strip()
        for warning in loaded.warnings
        if warning.path not in ledger.asked
    )
    # The files that the site wants, whether they are written or still to be made.
    wanted = {
        Path(file).name for file in _files(ledger.site) if str(Path(file).parent) == ledger.secrets_path
    }
    secrets = [
        Path(options.secrets_dir, name) for name in (*ledger.secrets, *sorted(wanted - {*ledger.secrets}))
    ]
    if old.kind == "swarm":
        yield from (f"docker secret create {path.name} {path}" for path in secrets)
    elif old.kind == "kubernetes":
        given = " ".join(f"--from-file={path}" for path in secrets)
        yield f"kubectl --namespace NAMESPACE create secret generic xnathub-secrets {given}".rstrip()
    elif secrets:
        # The hub's container mounts them as they are.
        yield f"sudo chown {loaded.site.hub.uid} {' '.join(map(str, secrets))}"
    yield from old_hub_away(old, options.without_hub)
    if old.kind == "swarm":
        yield f"xnathub render swarm {options.output} > xnathub-stack.yml, and deploy that (docs/swarm.md)"
    elif old.kind == "kubernetes":
        yield f"xnathub render kubernetes {options.output} > xnathub-values.yaml, and install the chart with it (docs/kubernetes.md)"
    else:
        yield f"xnathub render docker {options.output} > xnathub-compose.yaml, and start that (docs/docker.md)"
    yield "Keep the old files: docs/rollback.md says how to get back."
