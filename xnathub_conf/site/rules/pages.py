"""Rules of the hub's pages."""

from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document

_LEAST = 4.5
"""The contrast between letters and what they stand on that WCAG 2.2 asks for (1.4.3, level AA)."""


def check_accent(document: Document, site: Site) -> None:
    """White letters can be read on the accent colour."""
    contrast = 1.05 / (_luminance(site.pages.accent) + 0.05)
    if contrast < _LEAST:
        report(
            document,
            ("pages", "accent"),
            "contrast",
            f"White letters on {site.pages.accent} can't be read well: the contrast is {contrast:.1f} to 1, and {_LEAST} to 1 is needed.",
            "Write a darker colour.",
        )


def _luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, from 0 (black) to 1 (white), as WCAG 2.2 defines it."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
