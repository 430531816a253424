"""Variables by which container runtimes hand out GPUs, which an image may set by itself."""

import re
from collections.abc import Iterable

HIDES_GPUS = {
    # NVIDIA's runtime and its CDI mode take it from the variable alone where the node runs every container with them.
    "NVIDIA_VISIBLE_DEVICES": "void",
    "DOCKER_RESOURCE_GPU": "void",
    "ASCEND_VISIBLE_DEVICES": "void",
    # These runtimes know no such word: an empty one is as good as none.
    "AMD_VISIBLE_DEVICES": "",
    "HABANA_VISIBLE_DEVICES": "",
    "MTHREADS_VISIBLE_DEVICES": "",
}

_KIND = r"[pv]?gpus?|v?cuda|rtx|quadro|geforce|radeon|gaudi"
# A Swarm's resources have names of the site's own: often the model's.
_MODEL = (
    r"nvidia|tesla|instinct|ascend|mthreads|mig|(?:[abhklpv]\d{2,3}|[tl]4|g[bh]\d{3}|mi\d{2,3})(?!\d)[a-z]?"
)
_REST = r"\d+(?:[gm](?:i?b)?)?|com|ai|amd|intel|habana|huawei|sxm\d?|pcie|nvl|ti|super|ada|pro|max|[dh]gx|big|large|small|shared|slice"
_WHOLE = re.compile(rf"(?:{_REST}|{_KIND}|{_MODEL})+")
_GPU = re.compile(rf"(?:{_REST}|{_KIND}|{_MODEL})*(?:{_KIND})(?:{_REST}|{_KIND}|{_MODEL})*")
_NAMES_ONE = re.compile(f"{_KIND}|{_MODEL}")
_RIGHT_TO_USE = re.compile("licen[cs]es?|seats?")


def is_gpu(resource: str) -> bool:
    """Return whether a resource is a GPU by its name: a word of it says so, or it is a maker's and a model's name and nothing else.

    The licence for a GPU's software is none.
    """
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", resource).lower())
    words = [word for word in words if word]
    if any(_RIGHT_TO_USE.fullmatch(word) for word in words):
        return False
    if any(_GPU.fullmatch(word) for word in words):
        return True
    return all(map(_WHOLE.fullmatch, words)) and any(map(_NAMES_ONE.search, words))


def no_gpus(granted: Iterable[str]) -> dict[str, str]:
    """Return the variables that keep GPUs from a server whatever its image sets; none where a resource granted to it is a GPU by its name."""
    return {} if any(map(is_gpu, granted)) else dict(HIDES_GPUS)
