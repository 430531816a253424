"""`xnathub plugin`."""

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from xnathub_conf.cli.reports import write_out
from xnathub_conf.site.hub_settings import own_host
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import SiteError, dotted
from xnathub_conf.values.secret import SecretError
from xnathub_conf.xnat.plugin_settings import (
    TOKEN,
    Contradiction,
    PluginSetting,
    contradictions,
    plugin_settings,
    preferences_of,
)

_IDLE = (
    "XNAT stops servers that nobody uses; the hub does not. When it does so is set on the same page:",
    "",
    "  Inactivity Timeout   Stop a server after so many minutes without use. Default: 60; 0 means never.",
    "  Max Server Lifetime  Stop a server so many hours after its start, used or not. Default: 48; 0 means never.",
)


def plugin(file: str, report_format: str, *, current: str | None = None, ask_xnat: bool = False) -> int:
    """Print what to enter into XNAT's Jupyter settings, as a table, as variables (env) or as JSON.

    `current` names a file of the plugin's variables as they are now, or - for standard input; with `ask_xnat`, XNAT
    itself says what its settings are. Gives 1 where those contradict the site or the site is not valid, 2 where they
    can't be had.
    """
    try:
        loaded = load(file)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    for warning in loaded.warnings:
        # What is entered in XNAT can't mend that.
        if warning.rule == "session-cookie":
            print(warning, file=sys.stderr)
    preferences: Mapping[str, object] | None = None
    try:
        if current is not None:
            preferences = preferences_of(_variables(current))
        elif ask_xnat:
            preferences = asyncio.run(_ask(loaded))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        print(f"{current} can't be read: {reason}. Name a file of NAME=value lines.", file=sys.stderr)
        return 2
    except _Unknown as error:
        print(error, file=sys.stderr)
        return 2
    settings = plugin_settings(loaded.site)
    found = None if preferences is None else contradictions(loaded.site, preferences, _token(loaded))
    write_out(_REPORTS[report_format](loaded, settings, found))
    if report_format == "env":
        # What is piped into a file is variables and nothing else.
        for each in found or ():
            print(_told(loaded, each), file=sys.stderr)
    return 1 if found else 0


def _variables(file: str) -> dict[str, str]:
    """Read NAME=value lines as a shell or Docker would: comments, `export` and quotes are understood."""
    text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    variables: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            try:
                variables[name.strip()] = " ".join(shlex.split(value, comments=True))
            except ValueError:
                variables[name.strip()] = value.strip()
    return variables


class _Unknown(Exception):
    """What XNAT is set to can't be had; the text says why."""


async def _ask(loaded: LoadedSite) -> dict[str, object]:
    # Here, since it is the only part that needs more than a site file's packages.
    from xnathub_conf.xnat.answers import XnatError
    from xnathub_conf.xnat.client import XnatClient

    xnat = loaded.site.xnat
    try:
        client = XnatClient(xnat, xnat.service_account.password.read(os.environ))
    except SecretError as error:
        raise _Unknown(str(error)) from None
    try:
        return await client.plugin_preferences()
    except XnatError as error:
        raise _Unknown(str(error)) from None
    finally:
        await client.end_service_session()
        client.close()


def _token(loaded: LoadedSite) -> str | None:
    try:
        return loaded.site.hub.api_token.read(os.environ)
    except SecretError:
        return None


def _told(loaded: LoadedSite, contradiction: Contradiction) -> str:
    line = loaded.line(contradiction.key)
    where = f"{loaded.document.file}:{line}" if line else loaded.document.file
    return f"{where}: {contradiction.preference}: {contradiction.text} {contradiction.fix}"


def _table(
    loaded: LoadedSite, settings: Sequence[PluginSetting], found: Sequence[Contradiction] | None
) -> str:
    width = max(len(setting.label) for setting in settings)
    lines = ["Administer > Plugin Settings > JupyterHub > JupyterHub Setup:", ""]
    said = ""
    for setting in settings:
        lines.append(f"  {setting.label:{width}}  {setting.value or '(empty)'}")
        if setting.note != said:
            lines.append(f"  {'':{width}}  {setting.note}")
        said = setting.note
    lines += ["", *_IDLE]
    if not own_host(loaded.site):
        lines += [
            "",
            "XNAT and hub share a host name here. One of its own for the hub is safer: see own-host.md.",
        ]
    elif not loaded.site.hub.user_subdomains:
        lines += [
            "",
            "With a wildcard certificate, a host name for each user's servers is safer still (hub.user_subdomains): see own-host.md.",
        ]
    if found is not None:
        lines.append("")
        lines.append("What XNAT is set to contradicts the site:" if found else "What XNAT is set to agrees.")
        lines += [f"  {_told(loaded, each)}" for each in found]
    return "\n".join(lines) + "\n"


def _env(
    _loaded: LoadedSite, settings: Sequence[PluginSetting], _found: Sequence[Contradiction] | None
) -> str:
    lines = ["# Variables of XNAT's Tomcat, which the plugin reads at each start. A blank one sets nothing."]
    for setting in settings:
        if setting.preference == TOKEN:
            lines.append(f"# {setting.variables[0]} is {setting.value}")
        elif setting.value:
            lines.append(f"{setting.variables[0]}={setting.value}")
        else:
            lines.append(f"# {' and '.join(setting.variables)}: not set. Empty it on XNAT's page.")
    return "\n".join(lines) + "\n"


def _json(
    loaded: LoadedSite, settings: Sequence[PluginSetting], found: Sequence[Contradiction] | None
) -> str:
    report: dict[str, object] = {
        "settings": [
            {
                "label": setting.label,
                "preference": setting.preference,
                "variables": setting.variables,
                "value": None if setting.preference == TOKEN else setting.value,
                "secret": str(loaded.site.hub.api_token) if setting.preference == TOKEN else None,
                "note": setting.note,
                "key": dotted(setting.key),
                "line": loaded.line(setting.key),
            }
            for setting in settings
        ]
    }
    if found is not None:
        report["contradictions"] = [
            {
                "preference": each.preference,
                "message": each.text,
                "fix": each.fix,
                "key": dotted(each.key),
                "line": loaded.line(each.key),
            }
            for each in found
        ]
    return json.dumps(report, indent=2) + "\n"


_REPORTS = {"table": _table, "env": _env, "json": _json}
