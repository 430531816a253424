"""`xnathub fix`."""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from xnathub_conf.cli.reports import REPORTS, Checked, count, write_out
from xnathub_conf.site.load import load
from xnathub_conf.site.mending import mend
from xnathub_conf.site.problems import SiteError
from xnathub_conf.site.yaml_source import MAX_BYTES


def fix(files: Sequence[str], *, check: bool) -> int:
    """Mend in site files what has one sure remedy, say what that was, and what is left for a person.

    With `check` nothing is written. Returns 0 where all files are valid (with `check`: as they stand), 1 where one is not, 2
    where one can't be read or written.
    """
    codes = [_fix(Path(name), check=check) for name in files]
    return max(codes)


def _fix(file: Path, *, check: bool) -> int:
    try:
        with file.open("rb") as stream:
            before = stream.read(MAX_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        print(f"{file} can't be read: {reason}.", file=sys.stderr)
        return 2
    after, edits = mend(before, str(file))
    for edit in edits:
        write_out(f"{file}:{edit.line}: {edit.what}\n")
    if edits and not check:
        try:
            _write(file.resolve(), after)
        except OSError as error:
            print(f"{file} can't be written: {error.strerror}. Nothing was changed.", file=sys.stderr)
            return 2
    try:
        loaded = load(file, content=after.encode())
        left = Checked(str(file), True, loaded.warnings)
    except SiteError as error:
        left = Checked(str(file), False, tuple(error.problems))
    if check and edits:
        # The file itself is as it was, and that is what this is about.
        write_out("".join(f"{each}\n" for each in left.problems))
        after = "valid" if left.valid else "not valid"
        write_out(
            f"{file}: {count(len(edits), 'thing')} to mend, and {after} then: xnathub fix {shlex.quote(str(file))}\n"
        )
    else:
        write_out(REPORTS["text"]([left]))
    return 1 if not left.valid or (check and edits) else 0


def _write(file: Path, text: str) -> None:
    """Replace a file's text as a whole, so that nobody ever reads half of it; its owner and mode stay."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
        shutil.copymode(file, new)
        there = file.stat()
        if (there.st_uid, there.st_gid) != (os.getuid(), os.getgid()):
            os.chown(new, there.st_uid, there.st_gid)
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
