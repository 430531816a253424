"""The arguments of the commands that bring a site to Docker."""

import argparse
from pathlib import Path
from typing import Any

from xnathub_conf.cli.arguments import site_argument


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
