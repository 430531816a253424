"""How long starts of each image took since the hub began, for those who wait for one."""

from collections import deque
from statistics import median

_LAST = 5
_MOST_IMAGES = 500


class StartTimes:
    """The seconds of the last starts of each image."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}

    def note(self, image: str, seconds: float) -> None:
        """Keep what a start took that came up."""
        of_image = self._seconds.pop(image, None) or deque(maxlen=_LAST)
        of_image.append(seconds)
        # The image that was used last stands at the end.
        self._seconds[image] = of_image
        while len(self._seconds) > _MOST_IMAGES:
            del self._seconds[next(iter(self._seconds))]

    def sentence(self, image: str) -> str:
        """Return how long starts of an image took lately, "" where none is known."""
        if not (seconds := self._seconds.get(image)):
            return ""
        return f"Starts of this image took about {max(1, round(median(seconds)))} s lately"


START_TIMES = StartTimes()
"""Of this hub."""
