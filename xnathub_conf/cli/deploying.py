"""The arguments of the commands that bring a site to Docker."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xnathub_conf.cli.arguments import site_argument

if TYPE_CHECKING:
    from xnathub_conf.site.load import LoadedSite


def image_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the images of hub and proxy, on Swarm and on one engine."""
    parser.add_argument("--image", metavar="IMAGE", help="the hub's image (default: this release's)")
    parser.add_argument("--proxy-image", metavar="IMAGE", help="the proxy's image (default: the hub's)")


def stack_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a stack is made of, beside its site."""
    image_arguments(parser)
    parser.add_argument("--postgres", action="store_true", help="add a PostgreSQL service for the hub's data")
    parser.add_argument(
        "--postgres-image", metavar="IMAGE", help="that service's image (default: postgres:17-alpine)"
    )


def chart_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what goes into the chart's values, or the plain manifests."""
    parser.add_argument("--image", metavar="IMAGE", help="the image of hub and proxy (default: the chart's)")
    parser.add_argument("--manifests", action="store_true", help="write manifests for `kubectl apply`")


def stack_renderer(options: argparse.Namespace) -> "Callable[[LoadedSite, str], str]":
    """Return what makes a stack file of a site and its text, by these flags."""
    from xnathub_conf.cli.render import output_folder
    from xnathub_conf.render.hub_container import IMAGE
    from xnathub_conf.render.swarm import POSTGRES_IMAGE, render_stack

    return partial(
        render_stack,
        image=options.image or IMAGE,
        proxy_image=options.proxy_image,
        postgres_image=(options.postgres_image or POSTGRES_IMAGE) if options.postgres else None,
        folder=output_folder(),
    )


def compose_renderer(options: argparse.Namespace) -> "Callable[[LoadedSite, str], str]":
    """Return what makes a compose file of a site and its text, by these flags."""
    from xnathub_conf.cli.render import output_folder
    from xnathub_conf.render.compose import render_compose
    from xnathub_conf.render.hub_container import IMAGE

    images = {"image": options.image or IMAGE, "proxy_image": options.proxy_image}
    return partial(render_compose, **images, folder=output_folder())


def chart_renderer(options: argparse.Namespace) -> "Callable[[LoadedSite, str], str]":
    """Return what makes the chart's values, or plain manifests, of a site and its text, by these flags."""
    from xnathub_conf.render.kubernetes import render_manifests, render_values

    return partial(render_manifests if options.manifests else render_values, image=options.image)


def add_apply(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    apply = commands.add_parser(
        "apply",
        help="deploy a site to this Swarm, and watch its hub come up",
        description="Say what an edit changes, deploy it, and take back a hub that does not come up.",
    )
    site_argument(apply)
    apply.add_argument("--stack", default="xnathub", metavar="NAME", help="its name (default: xnathub)")
    stack_arguments(apply)
    apply.add_argument(
        "--secrets",
        type=Path,
        default=Path("secrets"),
        metavar="DIR",
        help="has files for secrets that Docker lacks (default: secrets)",
    )
    apply.add_argument(
        "--resolve-image",
        choices=["always", "changed", "never"],
        default="always",
        metavar="WHEN",
        help="ask registries for digests: always, changed, never",
    )
    apply.add_argument(
        "--wait", type=int, default=180, metavar="SECONDS", help="for the hub to come up (default: 180)"
    )
    apply.set_defaults(run=_apply)


def _apply(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.apply import Apply, apply
    from xnathub_conf.render.hub_container import IMAGE
    from xnathub_conf.render.swarm import POSTGRES_IMAGE

    wanted = Apply(
        options.file,
        options.stack,
        options.image or IMAGE,
        options.proxy_image,
        (options.postgres_image or POSTGRES_IMAGE) if options.postgres else None,
        options.secrets,
        options.resolve_image,
        options.wait,
    )
    return apply(wanted)
