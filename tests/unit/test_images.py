"""Image references as Docker reads them, and the patterns that allow them."""

import contextlib
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xnathub_conf.values.images import AllowedImages, Image, ImageError, _glob, parse_image, parse_pattern

SHA = "sha256:" + "0123456789abcdef" * 4
OTHER = "sha256:" + "f" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("busybox", "docker.io", "library/busybox", "latest", None),
        ("busybox:1.36", "docker.io", "library/busybox", "1.36", None),
        (f"busybox@{SHA}", "docker.io", "library/busybox", None, SHA),
        (f"busybox:1.36@{SHA}", "docker.io", "library/busybox", "1.36", SHA),
        ("docker.io/busybox", "docker.io", "library/busybox", "latest", None),
        ("docker.io/library/busybox", "docker.io", "library/busybox", "latest", None),
        ("index.docker.io/busybox", "docker.io", "library/busybox", "latest", None),
        ("index.docker.io/xnat/a", "docker.io", "xnat/a", "latest", None),
        ("xnat/a", "docker.io", "xnat/a", "latest", None),
        ("xnat/b/c", "docker.io", "xnat/b/c", "latest", None),
        ("localhost/a", "localhost", "a", "latest", None),
        ("localhost:5000/a:x", "localhost:5000", "a", "x", None),
        ("localhosts/a", "docker.io", "localhosts/a", "latest", None),
        ("registry.example.org/a/b:1", "registry.example.org", "a/b", "1", None),
        ("registry:5000/a", "registry:5000", "a", "latest", None),
        ("a:5000", "docker.io", "library/a", "5000", None),
        ("docker.io", "docker.io", "library/docker.io", "latest", None),
        ("HOST/a", "HOST", "a", "latest", None),
        ("HOST:80/a", "host:80", "a", "latest", None),
        ("LocalHost/a", "localhost", "a", "latest", None),
        ("Registry.Example.org/a", "registry.example.org", "a", "latest", None),
        ("[2001:db8::1]:5000/a:x", "[2001:db8::1]:5000", "a", "x", None),
        ("[::1]/a", "[::1]", "a", "latest", None),
        ("a.b-c.d/e", "a.b-c.d", "e", "latest", None),
        ("a__b/c-d---e.f_g", "docker.io", "a__b/c-d---e.f_g", "latest", None),
        ("a:Tag_1.2-3", "docker.io", "library/a", "Tag_1.2-3", None),
        ("a:" + "t" * 128, "docker.io", "library/a", "t" * 128, None),
    ],
)
def test_reference(text, registry, repository, tag, digest):
    assert parse_image(text) == Image(registry, repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a b", "a\n", "\ta", "a\0", "A", "a/B", "xnat/A:1", "/a", "a/", "a//b", "-a", "a-", "a..b", "a___b", "a._b",
        "_a", "a:", "a:-x", "a:.x", "a:" + "t" * 129, "a:x:y", "a:b/c", "a:é", "a@", f"a@{SHA}@{SHA}", "a@sha256:abc",
        "a@sha256:" + "0" * 63, "a@sha256:" + "G" * 64, "a@sha256:" + "A" * 64, "a@md5:" + "0" * 32, "@" + SHA, ":tag",
        "https://a.b/c", "a..b/c", "a.-b/c", ".a/b", "a.:80/b", "a.b:x/c", "a.b:123456/c", "[::1/a", "[::g]/a", "\uff58nat/a",
        "xnat\uff0fa", "\u0445nat/a", "a/../b", "a/./b", "../a", "docker.io/", "x" * 700, "a/" + "b" * 300,
        "0123456789abcdef" * 4, SHA, "é/a", "a\u200b/b", "a%2fb", "a\\b", "$(id)", "-v/etc:/etc",
    ],
)  # fmt: skip
def test_not_a_reference(text):
    with pytest.raises(ImageError):
        parse_image(text)


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        ("xnat/*", ["xnat/a", "xnat/a:1", f"xnat/a@{SHA}", "docker.io/xnat/a", "index.docker.io/xnat/b"],
         ["xnat/a/b", "xnat2/a", "axnat/a", "a", "example.org/xnat/a", "xnat.org/a", "library/xnat"]),
        ("*", ["a", "a:1", "library/a", "docker.io/library/a"], ["xnat/a", "example.org/a", "library/a/b"]),
        ("*/*", ["xnat/a", "a/b:1", "a"], ["a/b/c", "example.org/a/b", "localhost/a"]),
        ("xnat/a", ["xnat/a", "xnat/a:1", f"xnat/a:1@{SHA}"], ["xnat/ab", "xnat/a-b", "xnat/a/a"]),
        ("xnat/a:1.3.*", ["xnat/a:1.3.0", "xnat/a:1.3.0-rc1", "xnat/a:1.3."],
         ["xnat/a", "xnat/a:1.30", "xnat/a:1x3x0", f"xnat/a@{SHA}", f"xnat/a:1.3.0@{SHA}"]),
        ("xnat/a:latest", ["xnat/a", "xnat/a:latest"], ["xnat/a:latest2", f"xnat/a@{SHA}"]),
        ("xnat/a:*", ["xnat/a", "xnat/a:9"], [f"xnat/a@{SHA}"]),
        (f"xnat/a@{SHA}", [f"xnat/a@{SHA}", f"xnat/a:9@{SHA}"], ["xnat/a", f"xnat/a@{OTHER}", f"xnat/b@{SHA}"]),
        (f"xnat/a:1@{SHA}", [f"xnat/a@{SHA}", f"xnat/a:2@{SHA}"], ["xnat/a:1"]),
        ("registry.example.org/*/a", ["registry.example.org/x/a"],
         ["registry.example.org/a", "registry.example.org/x/y/a", "registryxexample.org/x/a", "evil.org/x/a"]),
        ("*.example.org/a", ["r.example.org/a", "R.example.org/a"], ["r.example.org/b/a", "r.example.org.evil.org/a", "r.example.org:5000/a"]),
        ("localhost:5000/*", ["localhost:5000/a"], ["localhost/a", "localhost:5001/a"]),
        ("xnat/data*", ["xnat/data", "xnat/data-science:1"], ["xnat/dat", "xnat/data/x"]),
        ("Registry.Example.org/a", ["registry.example.org/a"], ["registry.example.org/b"]),
    ],
)  # fmt: skip
def test_pattern_allows_just_what_it_says(pattern, allowed, refused):
    images = AllowedImages((pattern,))
    for text in allowed:
        assert images.allow(parse_image(text)), text
    for text in refused:
        assert not images.allow(parse_image(text)), text


def test_any_of_several_patterns_is_enough_and_none_allows_nothing():
    both = AllowedImages(("xnat/a:1", "xnat/a:2", "xnat/b*"))
    assert [both.allow(parse_image(f"xnat/{x}")) for x in ("a:1", "a:2", "a:3", "b9", "c")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert not AllowedImages(()).allow(parse_image("a"))


@pytest.mark.parametrize(
    "pattern",
    ["", "A*", "xnat/", "/*", "xnat/*:", "*@sha256:*", f"xnat/*@{SHA}x", "xnat/**:!", "https://a.b/*", "xnat /*", "-*", "*-",
     "a//*", "zzstarzz/a", f"{SHA}", "0123456789abcdef" * 4],
)  # fmt: skip
def test_pattern_that_no_image_can_match_is_refused(pattern):
    with pytest.raises(ImageError):
        AllowedImages((pattern,))


_IMAGE_ISH = st.text(max_size=60) | st.lists(
    st.sampled_from(
        [*"aAzé/:@.-_*[]0", "docker.io", "localhost", SHA, "sha256:", "xnat/", "library/", "::1"]
    ),
    max_size=10,
).map("".join)


@given(_IMAGE_ISH)
@example("[]/a")
@example("@:/")
@example("Xnat/a")
def test_only_image_errors(text):
    try:
        image = parse_image(text)
    except ImageError:
        pass
    else:
        # What is in full form is its own full form.
        whole = (
            image.name + (f":{image.tag}" if image.tag else "") + (f"@{image.digest}" if image.digest else "")
        )
        assert parse_image(whole) == image
        assert AllowedImages((whole,)).allow(image)
    with contextlib.suppress(ImageError):
        parse_pattern(text)


@given(st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,3}(:[a-z0-9]{1,5})?", fullmatch=True))
def test_a_star_never_crosses_a_slash(text):
    image = parse_image(text)
    assert AllowedImages(("xnat/*",)).allow(image) == (
        image.repository.startswith("xnat/") and image.repository.count("/") == 1
    )


@pytest.mark.parametrize(
    "pattern", ["x/" + "*a" * 20 + "b", "*" * 30, "r.example.org/*a*a*a*a*a*a*a*a*a*a*a*a*b"]
)
def test_many_stars_take_no_time(pattern):
    """240 characters took more than 20 s."""
    began = time.process_time()
    allowed = AllowedImages((pattern,))
    for name in ("a" * 240, "x/" + "a" * 240, "r.example.org/" + "a" * 200, "x" + "a-" * 100 + "c"):
        allowed.allow(parse_image(name))
    assert time.process_time() - began < 1


@given(st.text("ab/*", min_size=1, max_size=12), st.text("ab/", max_size=14))
def test_stars_match_as_ever(pattern, text):
    plain = "[^/]*".join(map(re.escape, pattern.split("*")))
    assert bool(_glob(pattern).fullmatch(text)) == bool(re.fullmatch(plain, text))
