"""Image references, parsed as Docker does, and the patterns that allow them.

The grammar and its defaults are those of https://github.com/distribution/reference: `docker.io` where the first
component is no host name, `library/` where docker.io has one component, the tag `latest` where there is neither tag
nor digest.
"""

import re
from dataclasses import dataclass

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_ID = re.compile(rf"[0-9a-f]{{64}}|{_DIGEST.pattern}")
_STAR = "zzstarzz"
"""Stands for `*` while a pattern is read by the grammar of references: it fits every component."""

_ANY = "*"


class ImageError(ValueError):
    """Text that is no image reference, or no pattern for one; the message says why."""


@dataclass(frozen=True)
class Image:
    """An image reference in full: `registry/repository:tag@digest`, with Docker's defaults filled in."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """The part before tag and digest."""
        return f"{self.registry}/{self.repository}"


def parse_image(text: str) -> Image:
    """Parse an image reference as Docker does. Raises ImageError where Docker would refuse it."""
    image = _split(text)
    if image.tag is None and image.digest is None:
        return Image(image.registry, image.repository, "latest", None)
    return image


def _split(text: str) -> Image:
    if len(text) > 600:
        raise ImageError("it is too long")
    if _ID.fullmatch(text):
        # Docker would look for a local image with this ID, whatever its name.
        raise ImageError("it is an image's ID, not its name")
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ImageError("its digest is not sha256: and 64 hexadecimal digits")
    slash = name.rfind("/")
    tag: str | None = None
    if (colon := name.find(":", slash + 1)) != -1:
        name, tag = name[:colon], name[colon + 1 :]
        if not _TAG.fullmatch(tag):
            raise ImageError("its tag is not letters, digits, underscores, dots and dashes")
    first, slash_found, rest = name.partition("/")
    if slash_found and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        if not _HOST.fullmatch(first):
            raise ImageError("its registry is no host name")
        # A host's name is the same in any case; one whose capitals alone make it a host's keeps them.
        lower = first.lower()
        registry = lower if "." in first or ":" in first or lower == "localhost" else first
        repository = rest
    else:
        registry, repository = "docker.io", name
    if registry == "index.docker.io":
        registry = "docker.io"
    if not _REPOSITORY.fullmatch(repository) or len(repository) > 255:
        raise ImageError(
            "its repository is not lower-case letters, digits and single separators between slashes"
        )
    if registry == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    return Image(registry, repository, tag, digest or None)


class AllowedImages:
    """The patterns of site.yaml's `servers.allowed_images`, ready to be asked.

    A pattern is a reference in which `*` stands for any characters but a slash. Without a tag it allows every tag and
    digest; with a tag, images of that tag without a digest, since Docker ignores the tag where a digest stands; with a
    digest, that digest whatever the tag. Raises ImageError for text that can never match.
    """

    def __init__(self, patterns: tuple[str, ...]):
        self._exact: dict[str, list[tuple[re.Pattern[str] | None, str | None]]] = {}
        self._globs: dict[str, list[tuple[re.Pattern[str], re.Pattern[str] | None, str | None]]] = {}
        for pattern in patterns:
            image = parse_pattern(pattern)
            tag = _glob(image.tag) if image.tag is not None else None
            if "*" in image.name:
                # Most stars stand in the last component: then the folder before it is looked up, not searched for.
                folder = image.name.rpartition("/")[0]
                folder = _ANY if "*" in folder else folder
                self._globs.setdefault(folder, []).append((_glob(image.name), tag, image.digest))
            else:
                self._exact.setdefault(image.name, []).append((tag, image.digest))

    def allow(self, image: Image) -> bool:
        """Return whether any pattern allows the image."""
        for tag, digest in self._exact.get(image.name, ()):
            if _version_fits(image, tag, digest):
                return True
        return any(
            name.fullmatch(image.name) and _version_fits(image, tag, digest)
            for folder in (image.name.rpartition("/")[0], _ANY)
            for name, tag, digest in self._globs.get(folder, ())
        )


def parse_pattern(pattern: str) -> Image:
    """Parse a pattern: an image in which `*` may stand. Raises ImageError where no image could ever match."""
    if _STAR in pattern:
        raise ImageError("it holds a reserved word")
    if pattern == "*":
        return Image("docker.io", "library/*", None, None)
    try:
        image = _split(pattern.replace("*", _STAR))
    except ImageError as error:
        raise ImageError(f"no image can match it: {error}") from None
    return Image(
        image.registry.replace(_STAR, "*"),
        image.repository.replace(_STAR, "*"),
        image.tag.replace(_STAR, "*") if image.tag else None,
        image.digest,
    )


def _glob(text: str) -> re.Pattern[str]:
    """Return a pattern that takes what stands between two stars where it comes first, and never looks for it again."""
    first, *rest = map(re.escape, text.split("*"))
    if not rest:
        return re.compile(first)
    *between, last = rest
    return re.compile(first + "".join(f"(?>[^/]*?{part})" for part in between) + f"[^/]*{last}")


def _version_fits(image: Image, tag: re.Pattern[str] | None, digest: str | None) -> bool:
    if digest is not None:
        return image.digest == digest
    if tag is None:
        return True
    return image.digest is None and image.tag is not None and tag.fullmatch(image.tag) is not None


def overlap(one: Image, other: Image) -> bool:
    """Return whether some image matches both of two patterns, as `parse_pattern` gives them."""
    if not _meet(one.name, other.name):
        return False
    if one.digest and other.digest:
        return one.digest == other.digest
    if one.digest or other.digest:
        # A pattern with a tag takes no image with a digest.
        return (other if one.digest else one).tag is None
    return one.tag is None or other.tag is None or _meet(one.tag, other.tag)


def _meet(one: str, other: str) -> bool:
    """Return whether some text matches both of two patterns, of whose beginnings it is asked for each pair."""
    above = [True, *(False for _ in other)]
    for place, star in enumerate(other):
        above[place + 1] = above[place] and star == _ANY
    for letter in one:
        here = [letter == _ANY and above[0]]
        for place, its in enumerate(other):
            starred = (letter == _ANY and (above[place + 1] or (here[place] and its != "/"))) or (
                its == _ANY and (here[place] or (above[place + 1] and letter != "/"))
            )
            here.append(starred or (letter == its and above[place]))
        above = here
    return above[-1]
