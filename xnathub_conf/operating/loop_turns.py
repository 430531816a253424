"""Turns: a crowd gets into the hub's loop one by one, so that the loop gets to everything else in between."""

import asyncio

_GAP_SECONDS = 0.001
_BUSY_SECONDS = 0.006
_MOST_LOOKS = 4


class Turns:
    """A queue for what needs the loop for a while. It belongs to one event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def take(self) -> None:
        """Return when those that came earlier have got in and the loop has a moment, or has had none for four rounds.

        A loop that wakes a sleeper late is at something else: at what came in before, as a rule.
        """
        loop = asyncio.get_running_loop()
        async with self._lock:
            for _ in range(_MOST_LOOKS):
                slept_at = loop.time()
                await asyncio.sleep(_GAP_SECONDS)
                if loop.time() - slept_at < _GAP_SECONDS + _BUSY_SECONDS:
                    return
