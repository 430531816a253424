"""Rules of servers: images, resources and time limits."""

from xnathub_conf.site.problems import visible
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document
from xnathub_conf.values.images import ImageError, parse_pattern


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
            )


def check_resources(document: Document, site: Site) -> None:
    """Guarantees, limits and caps are in order."""
    servers, caps = site.servers, site.servers.caps
    for what, limit, guarantee, cap in (
        ("cpu", servers.cpu_limit, servers.cpu_guarantee, caps.cpu),
        ("mem", servers.mem_limit, servers.mem_guarantee, caps.mem),
    ):
        highest = min((amount for amount in (limit, cap) if amount is not None), default=None)
        if guarantee is not None and highest is not None and guarantee > highest:
            report(
                document,
                ("servers", f"{what}_guarantee"),
                "guarantee-above-limit",
                f"More is kept for a server than its limit or cap, {highest:,}, lets it use.",
                f"Lower it, or raise `{what}_limit` and `caps.{what}`.",
            )
        if limit is not None and cap is not None and limit > cap:
            report(
                document,
                ("servers", f"{what}_limit"),
                "limit-above-cap",
                f"The default limit is above the cap, {cap:,}.",
                f"Lower it, or raise `caps.{what}`.",
            )
    highest_mem = min(
        (amount for amount in (servers.mem_limit, caps.mem) if amount is not None), default=None
    )
    if servers.shm_size and highest_mem is not None and servers.shm_size > highest_mem:
        report(
            document,
            ("servers", "shm_size"),
            "shm-above-limit",
            f"Shared memory counts as memory, of which a server may use {highest_mem:,} bytes.",
            "Lower it, or raise `mem_limit` and `caps.mem`.",
        )


def check_time_limits(document: Document, site: Site) -> None:
    """The hub gives up before XNAT does, and one attempt before the whole call."""
    servers, xnat, calls = site.servers, site.xnat, site.xnat.calls
    if servers.start_timeout > xnat.start_timeout:
        report(
            document,
            ("servers", "start_timeout"),
            "start-outlasts-xnat",
            f"XNAT gives up after xnat.start_timeout, {xnat.start_timeout} s, while the hub still waits.",
            f"Lower it below {xnat.start_timeout}, or raise both XNAT's setting and xnat.start_timeout.",
        )
    elif (total := servers.start_timeout + servers.http_timeout) > xnat.start_timeout:
        report(
            document,
            ("servers", "http_timeout"),
            "http-outlasts-xnat",
            f"start_timeout and http_timeout make {total} s; XNAT gives up after {xnat.start_timeout} s.",
            "Lower one, or raise both XNAT's setting and xnat.start_timeout.",
        )
    if servers.stop_timeout > xnat.stop_timeout:
        report(
            document,
            ("servers", "stop_timeout"),
            "stop-outlasts-xnat",
            f"XNAT gives up after xnat.stop_timeout, {xnat.stop_timeout} s.",
            f"Lower it below {xnat.stop_timeout}.",
        )
    for name in ("connect_timeout", "read_timeout"):
        if getattr(calls, name) > calls.deadline:
            report(
                document,
                ("xnat", "calls", name),
                "attempt-outlasts-call",
                f"It is longer than the deadline of the whole call, {calls.deadline:g} s.",
                "Lower it, or raise `deadline`.",
            )
