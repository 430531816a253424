"""`xnathub support`."""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xnathub_conf.cli.backup import write_file
from xnathub_conf.cli.doctor import found_within
from xnathub_conf.cli.show import shown
from xnathub_conf.operating.hub_data import HubData, HubDataError, hub_data
from xnathub_conf.operating.support import as_text, end_of, facts, names_of, write_bundle
from xnathub_conf.site.kinds import kind_of, named
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import SiteError, dotted
from xnathub_conf.site.schema import entries
from xnathub_conf.values.secret import SecretError

DOCTOR_SECONDS = 20
"""What doctor may take, where it waits for something that does not answer."""


def support(file: str, output: str, logs: Sequence[str]) -> int:
    """Write an archive that shows how a site's hub is, for somebody else: without secrets and names.

    `logs` are files, or - for standard input. Gives 1 where the site is not valid, 2 where the archive can't be written.
    """
    if output == "-" and sys.stdout.isatty():
        print("The archive is no text for a terminal. Name a file with --output.", file=sys.stderr)
        return 2
    began = time.monotonic()
    try:
        loaded = load(file)
        data = _data(loaded)
        numbers = names_of(loaded.site, data, os.environ)
        parts = {
            "facts.json": json.dumps(facts(data), indent=2),
            "site.txt": as_text(
                (dotted(key), shown(value, str(key[-1]))) for key, value in entries(loaded.site)
            ),
            "warnings.txt": "".join(f"{each}\n" for each in loaded.warnings),
            "doctor.json": json.dumps(_doctor(loaded), indent=2),
            "engine.json": json.dumps(_engine(loaded), indent=2),
            **_logs(loaded, logs),
        }
        if output == "-":
            names = write_bundle(parts, numbers, sys.stdout.buffer)
        else:
            names = write_file(Path(output), lambda out: write_bundle(parts, numbers, out))
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or output}: {error.strerror}.", file=sys.stderr)
        return 2
    told = sys.stderr if output == "-" else sys.stdout
    print(f"In it, after {time.monotonic() - began:.0f} s: {', '.join(names)}.", file=told)
    if not any(name.startswith("log-") for name in names):
        print("No log is in it: give it one with --log, or see docs/support.md.", file=told)
    print(
        "Names of users, projects and data are numbers in it. Look through it before you send it.", file=told
    )
    return 0


def _data(loaded: LoadedSite) -> HubData | None:
    try:
        return hub_data(loaded.site, os.environ)
    except (HubDataError, SecretError):
        return None


def _doctor(loaded: LoadedSite) -> dict[str, object]:
    # What libraries warn of is in the findings.
    logging.getLogger().addHandler(logging.NullHandler())
    return asyncio.run(found_within(loaded, DOCTOR_SECONDS))


def _engine(loaded: LoadedSite) -> dict[str, Any]:
    try:
        state = kind_of(loaded.site).state
        return dict(named(state)(loaded.site)) if state else {}
    except Exception as error:  # noqa: BLE001 - an engine that does not answer is worth telling too
        return {"error": f"{type(error).__name__}: {error}"}


def _logs(loaded: LoadedSite, logs: Sequence[str]) -> dict[str, str]:
    files = list(logs)
    if (audit := loaded.site.logging.audit_file) and Path(audit).exists():
        files.append(audit)
    texts: dict[str, str] = {}
    for number, name in enumerate(files, 1):
        if name == "-":
            texts[f"log-{number}.txt"] = end_of(sys.stdin.buffer)
        else:
            with Path(name).open("rb") as stream:
                texts[f"log-{number}.txt"] = end_of(stream)
    return texts
