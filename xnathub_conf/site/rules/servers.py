"""Rules of servers: images, resources and time limits."""

from xnathub_conf.site.chosen import settings_of
from xnathub_conf.site.problems import KeyPath, visible
from xnathub_conf.site.rules.reporting import report, written
from xnathub_conf.site.types import Docker, Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.amounts import least
from xnathub_conf.values.images import AllowedImages, ImageError, parse_image, parse_pattern
from xnathub_conf.values.memory import site_amount


def check_images(document: Document, site: Site) -> None:
    """Patterns of images can match."""
    for index, pattern in enumerate(site.servers.allowed_images):
        try:
            parse_pattern(pattern)
        except ImageError as error:
            report(
                document,
                ("servers", "allowed_images", index),
                "never-matches",
                f"{visible(pattern)}: {error}.",
                "Write an image as `docker pull` takes it, such as xnat/datascience-notebook or xnat/*.",
            )
        else:
            if pattern.replace("*", "").strip("/:@") == "" or set(pattern.split("/")[0]) == {"*"}:
                found = f"{pattern} allows images of anybody at Docker Hub, who then run programs beside your data."
                fix = "Write whose they may be, such as xnat/*."
                report(document, ("servers", "allowed_images", index), "any-image", found, fix)


def check_images_ahead(document: Document, site: Site) -> None:
    """Images that are brought ahead of time have a version, may be started, and may be pulled."""
    servers = site.servers
    try:
        allowed = AllowedImages(servers.allowed_images)
    except ImageError:
        # That is told where it stands.
        return
    for index, text in enumerate(servers.images_ahead):
        path: KeyPath = ("servers", "images_ahead", index)
        try:
            image = parse_image(text)
        except ImageError as error:
            fix = "Write an image as `docker pull` takes it, such as xnat/datascience-notebook:1.3.0."
            report(document, path, "image-ahead", f"{visible(text)} is no image: {error}.", fix)
            continue
        if image.digest is None and ":" not in text.rpartition("/")[2]:
            fix = f"Write {text}:1.3.0, or whichever version XNAT starts."
            report(document, path, "image-ahead", "It names no version.", fix)
        elif not allowed.allow(image):
            fix = "Add it to `allowed_images`, or take it away here."
            report(document, path, "image-ahead", f"{text} is not allowed, so no server has it.", fix)


def check_pull_policy(document: Document, site: Site) -> None:
    """One engine may pull the images that are brought ahead of time."""
    if site.servers.images_ahead and settings_of(site, Docker).pull_policy == "never":
        where = written(document, ("servers", "images_ahead"), ("orchestrator", "docker", "pull_policy"))
        found = "`pull_policy: never` pulls no image, ahead of time or not."
        report(
            document,
            where,
            "image-ahead",
            found,
            "Take images_ahead away, or write pull_policy: ifnotpresent.",
        )


def check_resources(document: Document, site: Site) -> None:
    """Guarantees, limits and caps are in order."""
    servers, caps = site.servers, site.servers.caps
    for what, limit, guarantee, cap in (
        ("cpu", servers.cpu_limit, servers.cpu_guarantee, caps.cpu),
        ("mem", servers.mem_limit, servers.mem_guarantee, caps.mem),
    ):
        keys: tuple[KeyPath, ...] = (
            ("servers", f"{what}_guarantee"),
            ("servers", f"{what}_limit"),
            ("servers", "caps", what),
        )
        highest = least(limit, cap)
        if guarantee is not None and highest is not None and guarantee > highest:
            report(
                document,
                written(document, *keys),
                "guarantee-above-limit",
                f"More is kept for a server than its limit or cap, {_amount(what, highest)}, lets it use.",
                f"Write {what}_guarantee: {_amount(what, highest)} or less, or raise `{what}_limit` and `caps.{what}`.",
            )
        if limit is not None and cap is not None and limit > cap:
            report(
                document,
                written(document, *keys[1:]),
                "limit-above-cap",
                f"The default limit is above the cap, {_amount(what, cap)}.",
                f"Write {what}_limit: {_amount(what, cap)} or less, or raise `caps.{what}`.",
            )
    highest_mem = least(servers.mem_limit, caps.mem)
    if servers.shm_size and highest_mem is not None and servers.shm_size > highest_mem:
        report(
            document,
            ("servers", "shm_size"),
            "shm-above-limit",
            f"Shared memory counts as memory, of which a server may use {highest_mem:,} bytes.",
            "Lower it, or raise `mem_limit` and `caps.mem`.",
        )


def _amount(what: str, amount: float) -> str:
    """Write an amount as it stands in the file."""
    return site_amount(int(amount)) if what == "mem" else f"{amount:g}"


_LEAST_BYTES = 64 * 1024**2
_LEAST_ANSWER = 64 * 1024
_MOST_BYTES = 64 * 1024**4


def check_memory(document: Document, site: Site) -> None:
    """Amounts of memory are such that something can run, or be read: `8` is eight bytes."""
    amounts: dict[KeyPath, tuple[int | None, int]] = {
        ("servers", "mem_limit"): (site.servers.mem_limit, _LEAST_BYTES),
        ("servers", "mem_guarantee"): (site.servers.mem_guarantee, 1024),
        ("servers", "caps", "mem"): (site.servers.caps.mem, _LEAST_BYTES),
        ("servers", "shm_size"): (site.servers.shm_size, 1024**2),
        ("xnat", "calls", "max_body"): (site.xnat.calls.max_body, _LEAST_ANSWER),
    }
    for path, (amount, enough) in amounts.items():
        if amount is not None and amount > _MOST_BYTES:
            found = f"No node has {site_amount(amount)} of memory."
            report(document, path, "huge-memory", found, "Write less, such as 64G.")
        if amount is not None and amount < enough:
            if amount < 1024:
                unit = "M" if path[-1] == "max_body" else "G"
                report(
                    document, path, "tiny-memory", f"{amount} means {amount} bytes.", f"Write {amount}{unit}."
                )
            else:
                fix = f"Write {site_amount(enough)} or more."
                report(document, path, "tiny-memory", "Nothing can run with so little.", fix)


def check_time_limits(document: Document, site: Site) -> None:
    """The hub gives up before XNAT does, and one attempt before the whole call."""
    servers, xnat, calls = site.servers, site.xnat, site.xnat.calls
    if servers.start_timeout > xnat.start_timeout:
        report(
            document,
            written(document, ("servers", "start_timeout"), ("xnat", "start_timeout")),
            "start-outlasts-xnat",
            f"XNAT gives up after xnat.start_timeout, {xnat.start_timeout} s, while the hub still waits.",
            f"Write servers.start_timeout: {xnat.start_timeout} or less, or raise both XNAT's setting and xnat.start_timeout.",
        )
    elif (total := servers.start_timeout + servers.http_timeout) > xnat.start_timeout:
        report(
            document,
            written(
                document, ("servers", "http_timeout"), ("servers", "start_timeout"), ("xnat", "start_timeout")
            ),
            "http-outlasts-xnat",
            f"servers.start_timeout and servers.http_timeout make {total} s together; XNAT gives up after {xnat.start_timeout} s.",
            f"Lower one of them, so that they make {xnat.start_timeout} or less, or raise both XNAT's setting and xnat.start_timeout.",
        )
    if servers.stop_timeout > xnat.stop_timeout:
        report(
            document,
            written(document, ("servers", "stop_timeout"), ("xnat", "stop_timeout")),
            "stop-outlasts-xnat",
            f"XNAT gives up after xnat.stop_timeout, {xnat.stop_timeout} s.",
            f"Write servers.stop_timeout: {xnat.stop_timeout} or less.",
        )
    for name in ("connect_timeout", "read_timeout"):
        if getattr(calls, name) > calls.deadline:
            report(
                document,
                written(document, ("xnat", "calls", name), ("xnat", "calls", "deadline")),
                "attempt-outlasts-call",
                f"`{name}`, {getattr(calls, name):g} s, is longer than `deadline`, {calls.deadline:g} s, of the whole call.",
                f"Write {name}: {calls.deadline:g} or less, or raise `deadline`.",
            )
