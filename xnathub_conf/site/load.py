"""Loading a site file: from a path, or bytes, to a validated and immutable Site."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from xnathub_conf.site.check import check_schema
from xnathub_conf.site.problems import KeyPath, Problem, SiteError, in_order
from xnathub_conf.site.rules import check_host, check_site
from xnathub_conf.site.schema import build
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import MAX_BYTES, Document, parse_yaml


@dataclass(frozen=True)
class LoadedSite:
    """A valid Site with the warnings that came with it, and the file that it came from."""

    site: Site
    warnings: tuple[Problem, ...]
    document: Document

    def line(self, key: KeyPath) -> int | None:
        """Return the line where a key stands, or None where its default holds."""
        mark = self.document.keys.get(key)
        return mark[0] if mark else None


def load_site(path: str | Path, environment: Mapping[str, str] | None = None) -> Site:
    """Load and check the site file at `path`, and give its Site.

    With `environment`, the variables of the process that will be the hub, the secrets are checked too. Raises
    SiteError with every problem found.
    """
    return load(path, environment=environment).site


def load(
    path: str | Path,
    *,
    content: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    strict: bool = False,
    ignore: Collection[str] = (),
) -> LoadedSite:
    """Load a site file, or check `content` as if it were the file `path`; `strict` makes warnings errors.

    Warnings of the rules in `ignore` are left out.
    Raises SiteError with every problem found; nothing is changed either way.
    """
    file = str(path)
    if content is None:
        content = _read(file)
    document = parse_yaml(content, file)
    check_schema(document)
    if not _errors(document):
        site = build(document.data)
        check_site(document, site)
        if environment is not None:
            check_host(document, site, environment)
        document.problems = [
            problem
            for problem in document.problems
            if problem.severity == "error" or problem.rule not in ignore
        ]
        if not _errors(document) and not (strict and document.problems):
            return LoadedSite(site, in_order(document.problems), document)
    raise SiteError(document.problems)


def _errors(document: Document) -> bool:
    return any(problem.severity == "error" for problem in document.problems)


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"The file can't be read: {error.strerror}."
        raise SiteError(
            [Problem(file, 1, 1, (), "unreadable", message, "Check its name and its permissions.")]
        ) from None
