"""Image references, amounts of memory, paths and names: read as Docker, JupyterHub and the kernel read them."""

import os.path
import re
from fractions import Fraction
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from docker.utils import parse_bytes
from hypothesis import assume, example, given
from hypothesis import strategies as st
from jupyterhub.traitlets import ByteSpecification
from requests.models import PreparedRequest

from tests.fuzz.bounds import bounded, fuzz, judge_text
from tests.fuzz.docker_reference import docker_reads
from tests.fuzz.strategies import ODD_TEXT
from tests.unit.helpers import site_of
from xnathub_conf.signing_in.authenticator import XnatAuthenticator
from xnathub_conf.spawners.object_names import object_name
from xnathub_conf.values.images import AllowedImages, ImageError, parse_image, parse_pattern
from xnathub_conf.values.memory import site_bytes, xnat_bytes
from xnathub_conf.values.paths import PathError, PathTranslation, normal_path
from xnathub_conf.values.variables import refused

# ---- image references

_SHA = "sha256:" + "0123456789abcdef" * 4
_IMAGES = st.text("aA0b./:@-_*[]é ", max_size=20) | st.lists(
    st.sampled_from(
        [*"aAzé/:@.-_*[]0", "docker.io", "index.docker.io", "Docker.io", "localhost", "localhost:5000", "a.b", "[::1]", "xnat/", "library/",
         "latest", ":1.3", _SHA, "@" + _SHA, "@sha512:" + "0" * 128, "sha256:", "__", "--", "..", "x" * 128, "ab/" * 90, "\n", "\0", "%2f"]
    ),
    max_size=8,
).map("".join)  # fmt: skip


@fuzz(1500)
@given(_IMAGES | ODD_TEXT)
@example("a@" + _SHA)
@example(_SHA[7:])
@example("a:" + "b" * 128)
@example("a:5000/b")
@example("[::1]:80/a")
@example("\u212aelvin/a")  # lower case of the Kelvin sign is an ASCII letter
def test_an_image_reference_means_here_what_it_means_to_docker(text):
    check_image(text)


def check_image(text: str) -> None:
    with bounded():
        theirs = docker_reads(text)
        try:
            image = parse_image(text)
        except ImageError as error:
            judge_text(error)
            _judge_refused_image(text, theirs)
        else:
            assert theirs is not None
            registry, repository, tag, digest = theirs
            # A host's name is the same in any case; what is not Docker's own stays what it is.
            if registry.lower() == "docker.io" != registry and "/" not in repository:
                repository = f"library/{repository}"
            if registry.lower() == "index.docker.io" and "/" not in repository:
                repository = f"library/{repository}"
            if re.search(r"[.:]|^localhost$", registry, re.IGNORECASE):
                registry = {"index.docker.io": "docker.io"}.get(registry.lower(), registry.lower())
            assert (image.registry, image.repository, image.tag, image.digest) == (
                registry,
                repository,
                tag,
                digest,
            )
            written = (
                image.name
                + (f":{image.tag}" if image.tag else "")
                + (f"@{image.digest}" if image.digest else "")
            )
            assert parse_image(written) == image
            assert docker_reads(written) == (registry, repository, tag, digest)
            assert AllowedImages((written,)).allow(image)
        try:
            pattern = parse_pattern(text)
        except ImageError as error:
            judge_text(error)
        else:
            assert ("*" in text) or theirs is not None or pattern.tag is None
            AllowedImages((text,))


def _judge_refused_image(text, theirs):
    """What Docker takes and we don't is known: IDs, ports beyond 65535, and names longer than any registry holds."""
    if theirs is None:
        return
    port = re.search(r":([0-9]+)$", theirs[0])
    assert (
        (port and len(port[1]) > 5)
        or len(text) > 600
        or re.fullmatch("[0-9a-f]{64}|sha[0-9]+:[0-9a-f]+", text)
    )


@fuzz(500)
@given(
    st.text("ab*", min_size=1, max_size=5),
    st.text("ab/.", min_size=1, max_size=7),
    st.sampled_from(["", ":1", ":12", "@" + _SHA]),
)
def test_a_pattern_allows_what_its_star_says(star, name, version):
    """A star stands for any characters but a slash; worked out here letter by letter."""
    try:
        allowed = AllowedImages((f"x/{star}",))
        image = parse_image(f"x/{name}{version}")
    except ImageError:
        assume(False)
    assert allowed.allow(image) == _star_fits(star, image.repository.removeprefix("x/"))


def _star_fits(pattern, text):
    if not pattern:
        return not text
    if pattern[0] == "*":
        return _star_fits(pattern[1:], text) or (
            bool(text) and text[0] != "/" and _star_fits(pattern, text[1:])
        )
    return bool(text) and text[0] == pattern[0] and _star_fits(pattern[1:], text[1:])


# ---- amounts of memory

_AMOUNTS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "", "", " ", "-", "+", "0"]),
    st.integers(0, 10**16) | st.integers(0, 300),
    st.sampled_from(["", "", ".", ".5", ".25", ".1", ".000000000000001", ".1e3", "e3", "_0"]),
    st.sampled_from(["", "", " ", "\t"]),
    st.sampled_from([*"KMGTkmgtbB", "", "Ki", "Mi", "Gi", "Ti", "gb", "GiB", "ib", "i", "KK", "P", "\u212a", "G\n"]),
) | st.text("0123456789.KMGTkmgtib -+e\u0663\uff11\u212a", max_size=10)  # fmt: skip
_BYTES = ByteSpecification()


def _exactly(text):
    """Read an amount with whole fractions, where ours goes through floats."""
    number = re.match(r"\s*([0-9.]+)", text)[1]
    suffix = re.sub(r"[\s0-9.]", "", text).upper()[:1]
    power = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}[suffix]
    return Fraction(number) * 1024**power


@fuzz(1500)
@given(_AMOUNTS | ODD_TEXT)
@example("0.1G")
@example("999999999999999.999999999999999T")
def test_amounts_of_memory(text):
    check_amount(text)


def check_amount(text: str) -> None:
    with bounded():
        for reader in (site_bytes, xnat_bytes):
            try:
                amount = reader(text)
            except ValueError:
                continue
            assert type(amount) is int
            assert amount >= 0
            exact = _exactly(text)
            # A float holds 53 bits: whole numbers are exact, and of the others no byte in a billion is lost.
            assert (
                amount == exact
                if exact.denominator == 1 and "." not in text
                else abs(amount - exact) <= 1 + exact / 10**9
            )
            assert amount >= 10**15 or reader(str(amount)) == amount
            if reader is site_bytes:
                assert amount == (_BYTES.validate(None, text) if text[-1] in "KMGT" else int(float(text)))
            elif not re.search(r"[tT]|[a-zA-Z]i", text):
                assert amount == parse_bytes(text.strip().replace(" ", "").replace("\t", "") or "x")


# ---- paths

_PARTS = st.text("ab.{}é\\%~ \uff0f\u2025", min_size=1, max_size=3) | st.sampled_from(
    ["a", "b", "..", ".", "", "\0", "\n", "\ud800"]
)
_PATHS = st.lists(_PARTS, max_size=6).map(lambda parts: "/" + "/".join(parts)) | st.lists(
    _PARTS, max_size=5
).map("/".join)
_NORMAL = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@fuzz(800)
@given(_PATHS | ODD_TEXT, st.dictionaries(_NORMAL, _NORMAL, max_size=4))
def test_paths_have_one_form_and_their_translation_stays_below_its_target(path, rules):
    check_path(path, rules)


def check_path(path: str, rules: dict[str, str]) -> None:
    with bounded():
        try:
            normal = normal_path(path)
        except PathError as error:
            judge_text(error)
            odd = re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", path)
            assert odd or not path.startswith("/") or ".." in path.split("/")
            return
        assert normal_path(normal) == normal
        assert normal == "/" + os.path.normpath(path).lstrip("/")
        assert ".." not in PurePosixPath(normal).parts
        normal.encode()
        translate = PathTranslation(rules)
        given_path = translate(normal)
        fitting = [rule for rule in rules if PurePosixPath(normal).is_relative_to(rule)]
        if not fitting:
            assert given_path == normal
            return
        rule = max(fitting, key=len)
        assert PurePosixPath(given_path).is_relative_to(rules[rule])
        assert PurePosixPath(given_path).relative_to(rules[rule]) == PurePosixPath(normal).relative_to(rule)
        assert normal_path(given_path) == given_path
        # Where no target lies below a prefix, nor a prefix below a target, a second translation changes nothing.
        if not any(
            PurePosixPath(to).is_relative_to(from_) or PurePosixPath(from_).is_relative_to(to)
            for from_ in rules
            for to in rules.values()
        ):
            assert translate(given_path) == given_path


# ---- names


_NAMES = st.text(max_size=20) | st.sampled_from(
    ["alice", "Alice", "..", ".", "guest", "Guest", "a/b", "a\\b", "a%2fb", "a b", " a", "a@b.org", "\0", "a\n", "日本", "\u202ealice", "a" * 300,
     "a?b", "a#b", "a;b", "//", "\ud800", "a\u200b", "%", "%00", "%2e%2e", "a:b"]
) | ODD_TEXT  # fmt: skip


_AUTHENTICATOR = XnatAuthenticator.for_site(site_of(), None)  # no question to XNAT is asked here


def _is_unicode(text):
    return not re.search("[\ud800-\udfff]", text)


@fuzz(800)
@given(_NAMES, _NAMES, _NAMES.filter(_is_unicode))  # a server's name comes from an address
def test_names_of_users_stay_one_part_of_a_path_and_make_names_of_their_own(name, other, server):
    check_names(name, other, server)


def check_names(name: str, other: str, server: str) -> None:
    with bounded():
        authenticator = _AUTHENTICATOR()
        assert authenticator.normalize_username(name) == name
        if not authenticator.validate_username(name):
            return
        assert name not in {"", ".", "..", "guest"}
        assert not re.search(r"[/\\\x00-\x1f\x7f\u202a-\u202e\ud800-\udfff]", name)
        assert name == name.strip()
        assert len(name) <= 255
        # As the client asks XNAT for it: one part of the path, that comes back as it was.
        request = PreparedRequest()
        request.prepare_url(f"http://xnat/xapi/jupyterhub/users/{quote(name, safe='')}/server", None)
        parts = request.path_url.split("/")
        assert len(parts) == 6
        assert unquote(parts[4]) == name
        if authenticator.validate_username(other):
            mine, theirs = (object_name("jupyter", who, server) for who in (name, other))
            assert re.fullmatch("[a-z]([a-z0-9-]{0,61}[a-z0-9])?", mine)
            assert (mine == theirs) == (name == other)


# ---- variables

_VARIABLES = st.builds(
    "{}{}".format,
    st.sampled_from(
        [
            "JUPYTERHUB_",
            "NB_",
            "LD_",
            "PYTHON",
            "JUPYTERHUB_ROOT_DIR",
            "JUPYTERHUB_DEFAULT_URL",
            "XNAT_",
            "",
            "ld_",
        ]
    ),
    st.text("ABUID_GPATHx", max_size=6),
)


@fuzz(300)
@given(_VARIABLES)
def test_variables_that_would_take_over_the_hubs_are_the_hubs(name):
    if name.startswith(("NB_U", "LD_")) and name != "NB_UMASK":
        assert refused(name, "xnat")
    if refused(name, "site"):
        assert refused(name, "xnat")
        assert name.startswith(("JUPYTERHUB_", "JPY_", "NB_"))
