"""`xnathub render`."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from xnathub_conf.cli.reports import write_out
from xnathub_conf.site.load import LoadedSite, load
from xnathub_conf.site.problems import SiteError


def render(file: str, renderer: Callable[[LoadedSite, str], str]) -> int:
    """Print what `renderer` makes of a site and its file's text.

    Gives 1 where the file is not valid or holds a secret itself, or the site is not one for that.
    """
    try:
        loaded = load(file)
        text = renderer(loaded, Path(file).read_text("utf-8"))
    except (SiteError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    for warning in loaded.warnings:
        print(warning, file=sys.stderr)
    if any(warning.rule == "literal-secret" for warning in loaded.warnings):
        # The file goes into a config or ConfigMap, which more people may read than secrets.
        return 1
    write_out(text)
    return 0


def output_folder() -> Path | None:
    """Return the folder of the file that standard output goes to, None where it is no file or the system can't tell."""
    try:
        out = sys.stdout.fileno()
        file = Path(f"/proc/self/fd/{out}").readlink()
        return file.parent if stat.S_ISREG(os.fstat(out).st_mode) and file.parent.is_dir() else None
    except (OSError, ValueError):
        return None
