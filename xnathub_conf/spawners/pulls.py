"""How far the pull of an image is, from the messages of a Docker engine."""

from collections.abc import Iterable, Mapping
from typing import Any

from docker.errors import APIError

_HAS = {"Download complete", "Pull complete", "Already exists", "Extracting"}
_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


class Pull:
    """The layers of one image that is pulled; followed in a thread, read in any."""

    def __init__(self) -> None:
        self._bytes: dict[str, int] = {}
        self._complete: set[str] = set()

    def follow(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Read an engine's messages to their end. Raises APIError where one says that the pull failed, which has a status of 200."""
        for message in messages:
            if "error" in message:
                raise APIError(message["error"], explanation=message["error"])
            layer, status = message.get("id"), message.get("status", "")
            # The first message has the image's tag for its ID.
            if not layer or status.startswith("Pulling from"):
                continue
            self._bytes.setdefault(layer, 0)
            if status == "Downloading":
                self._bytes[layer] = message.get("progressDetail", {}).get("current", 0)
            elif status in _HAS:
                self._complete.add(layer)

    @property
    def progress(self) -> str:
        """How far it is, as the end of a sentence: bytes and layers, since an engine tells no bytes in all; "" for nothing yet."""
        # A copy, since its thread goes on.
        layers = dict(self._bytes)
        return (
            f" ({_size(sum(layers.values()))}, {len(self._complete)} of {len(layers)} layers)"
            if layers
            else ""
        )


def _size(count: int) -> str:
    unit, name = next((each for each in _UNITS if count >= each[0]), (1, "bytes"))
    return f"{count / unit:.3g} {name}" if count < 1000 * unit else f"{count // unit} {name}"
