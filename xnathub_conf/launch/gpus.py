"""Variables by which container runtimes hand out GPUs, which an image may set by itself."""

import re
from collections.abc import Iterable

_HIDDEN = {
    # NVIDIA's runtime and its CDI mode take it from the variable alone where the node runs every container with them.
    "NVIDIA_VISIBLE_DEVICES": "void",
    "DOCKER_RESOURCE_GPU": "void",
    "ASCEND_VISIBLE_DEVICES": "void",
    # These runtimes know no such word: an empty one is as good as none.
    "AMD_VISIBLE_DEVICES": "",
    "HABANA_VISIBLE_DEVICES": "",
    "MTHREADS_VISIBLE_DEVICES": "",
}
_GPU = re.compile(
    r"gpu|nvidia|cuda|amd\.com|radeon|instinct|habana|gaudi|ascend|mthreads"
    # A Swarm's resources have names of the site's own: often the model's.
    r"|rtx|tesla|quadro|geforce|(?<![a-z0-9])(?:[abhklpv]\d{2,3}|[tl]4|g[bh]\d{3}|mi\d{2,3})(?![0-9])",
    re.IGNORECASE,
)


def no_gpus(granted: Iterable[str]) -> dict[str, str]:
    """Return the variables that keep GPUs from a server whatever its image sets; none where a resource granted to it is a GPU by its name."""
    return {} if any(_GPU.search(name) for name in granted) else dict(_HIDDEN)
