"""The arguments of the commands that bring a site to Docker."""

import argparse


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
