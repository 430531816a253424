"""The secrets of a test run, and all that the run gives out: at its end none of the former is in any of the latter.

`Search` knows the secrets as they are made, and keeps what pages, API answers, process lists and other things said. At
the end it looks through that and through files such as the hubs' logs. What finds is `grep -F`, which takes thousands
of secrets at once; they reach it in a file, never on a command line.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

SHORTEST = 10
"""Shorter ones would be found by chance, in a word or a number."""

_LOOK_AT_PROCESSES_SECONDS = 0.25


@dataclass(frozen=True)
class Found:
    """A secret that was found: of what kind, and in what."""

    kind: str
    where: str

    def __str__(self) -> str:
        return f"{self.kind}, in {self.where}"


class Search:
    """The secrets of a run and what was given out during it, in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._kinds: dict[bytes, str] = {}
        self._only_in: dict[bytes, str] = {}
        self._spools: dict[str, Path] = {}
        self._spools_of_others: list[tuple[str, Path]] = []
        self._files: dict[Path, str] = {}
        self._commands: set[bytes] = set()
        self.bytes = Counter[str]()
        self.found: list[Found] = []
        self._stop = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="process-list", daemon=True)

    current: "Search | None" = None
    """The run's own, while pytest runs."""

    def secret(self, kind: str, value: str | bytes, user: str = "", only_in: str = "") -> None:
        """Know one more secret; with `user`, a password or alias secret, also as HTTP Basic sends the two.

        `only_in` names the one source that must not hold it: what is sent in an address may be in the answer, not in a log.
        """
        raw = value.encode() if isinstance(value, str) else value
        if len(raw) < SHORTEST:
            return
        forms = {raw, quote(raw, safe="").encode(), json.dumps(raw.decode("utf-8", "replace"))[1:-1].encode()}
        if user:
            pair = b64encode(f"{user}:".encode() + raw)
            forms.add(pair.rstrip(b"="))
        with self._lock:
            for form in forms:
                self._kinds.setdefault(form, kind)
                if only_in and self._kinds[form] == kind:
                    self._only_in[form] = only_in

    @property
    def secrets(self) -> Counter[str]:
        """How many secrets of each kind are known, each in one form or more."""
        with self._lock:
            return Counter(self._kinds.values())

    def text(self, source: str, what: str, content: str | bytes) -> None:
        """Keep something that was given out, to be looked through at the end; `what` tells it from others."""
        data = content.encode("utf-8", "replace") if isinstance(content, str) else content
        with self._lock:
            spool = self._spools.setdefault(source, self.folder / f"{len(self._spools)}.spool")
            with spool.open("ab") as out:
                head = what.replace("\n", " ")
                for line in data.split(b"\n"):
                    out.write(line + b" \x01" + head.encode("utf-8", "replace") + b"\n")
            self.bytes[source] += len(data)

    def file(self, source: str, path: Path) -> None:
        """Look through a file, such as a log, or each file of a folder, at the end."""
        with self._lock:
            self._files[path] = source

    def stream(self, source: str, command: list[str], what: str) -> None:
        """Look through what a command prints, such as an image's layers, now, for the secrets known by now."""
        printed = self.folder / "stream"
        with self._patterns() as patterns, printed.open("wb") as out:
            subprocess.run(command, stdout=out, check=True)
            self._look(patterns, source, printed, what)
        printed.unlink()

    def start(self) -> "Search":
        """Begin to look at the list of processes."""
        self._watching.start()
        return self

    def hand_over(self) -> dict[str, list[object]]:
        """Return all that is known here, for the search of another process, which is to `take` it."""
        return {
            "kinds": list(self._kinds.items()),
            "only_in": list(self._only_in.items()),
            "spools": [(source, str(path)) for source, path in self._spools.items()],
            "files": [(str(path), source) for path, source in self._files.items()],
            "bytes": list(self.bytes.items()),
            "found": [(each.kind, each.where) for each in self.found],
        }

    def take(self, known: dict[str, list[tuple]]) -> None:
        """Take over what another process has handed over."""
        self._kinds |= dict(known["kinds"])
        self._only_in |= dict(known["only_in"])
        self._spools_of_others += [(source, Path(path)) for source, path in known["spools"]]
        self._files |= {Path(path): source for path, source in known["files"]}
        self.bytes.update(dict(known["bytes"]))
        self.found += [Found(kind, where) for kind, where in known["found"]]

    def finish(self) -> list[Found]:
        """Look through everything, once, and give what was found."""
        self._stop.set()
        if self._watching.is_alive():
            self._watching.join()
        self.text("process lists", "a process's command line", b"\n".join(self._commands))
        with self._patterns() as patterns:
            for source, spool in [*self._spools.items(), *self._spools_of_others]:
                self._look(patterns, source, spool)
            for path, source in self._files.items():
                self._look_at_files(path, source, patterns)
        return self.found

    def _look_at_files(self, path: Path, source: str, patterns: Path) -> None:
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file() and not each.is_symlink() and not self._is_a_secret(each):
                self._look(patterns, "logs" if each.suffix == ".log" else source, each, str(each))

    def _is_a_secret(self, path: Path) -> bool:
        """Return whether a file holds a secret and nothing else, as those do that site.yaml names."""
        if path.stat().st_size > 4096:
            return False
        content = path.read_bytes().strip()
        with self._lock:
            return content in self._kinds

    def _look(self, patterns: Path, source: str, path: Path, what: str = "") -> None:
        if what:
            self.bytes[source] += path.stat().st_size
        lines = subprocess.run(
            ["grep", "--text", "--fixed-strings", "--file", patterns, "--", path],
            capture_output=True,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        )
        assert lines.returncode in {0, 1}, lines.stderr
        for line in lines.stdout.splitlines():
            kinds = {
                kind
                for secret, kind in self._kinds.items()
                if secret in line and self._only_in.get(secret, source) == source
            }
            where = what or line.rpartition(b"\x01")[2].decode()
            self.found += [Found(kind, f"{source}: {where}") for kind in sorted(kinds)]

    @contextlib.contextmanager
    def _patterns(self) -> Iterable[Path]:
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".patterns") as file:
            with self._lock:
                file.write(b"\n".join(self._kinds))
            file.flush()
            yield Path(file.name)

    def _watch(self) -> None:
        while not self._stop.is_set():
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self._commands.add(process.read_bytes().replace(b"\0", b" "))
            time.sleep(_LOOK_AT_PROCESSES_SECONDS)

    def summary(self) -> list[str]:
        """Return how much was searched, and what was found."""
        counts = ", ".join(f"{count} of {kind}" for kind, count in sorted(self.secrets.items()))
        searched = ", ".join(f"{source} {size:,}" for source, size in sorted(self.bytes.items()))
        return [
            f"Secrets searched for, in all their forms: {sum(self.secrets.values())} ({counts}).",
            f"Bytes searched: {self.bytes.total():,} ({searched}).",
            *(f"FOUND: {each}" for each in self.found),
            f"Found: {len(self.found)}.",
        ]
