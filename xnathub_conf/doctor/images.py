"""Which images can be looked for: those that are named in full."""

from xnathub_conf.doctor.examination import Examination
from xnathub_conf.values.images import parse_pattern


def exact_images(examination: Examination) -> tuple[list[str], list[str]]:
    """Return the images of the site, and of the plan, that are named in full, and the patterns that stand for many."""
    names: dict[str, None] = {}
    patterns: list[str] = []
    for pattern in examination.site.servers.allowed_images:
        image = parse_pattern(pattern)
        # A name alone allows every version.
        if "*" in pattern or (image.tag is None and image.digest is None):
            patterns.append(pattern)
        else:
            names[pattern] = None
    names |= dict.fromkeys(examination.site.servers.images_ahead)
    if examination.plan:
        names[examination.plan.image] = None
    return list(names), patterns
