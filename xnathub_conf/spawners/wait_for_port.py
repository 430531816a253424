"""The wait for a server that has been started to listen."""

import asyncio
import time
from collections.abc import Awaitable, Callable

KNOCK_AGAIN_SECONDS = 0.05
LOOK_AGAIN_SECONDS = 0.3
"""How often a start asks its engine what it waits for."""

FIRST_MOMENTS_SECONDS = 15


async def listening(
    address: tuple[str, int], check_running: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Return once something listens at a host and port, or when the first moments (15 seconds) are over.

    JupyterHub waits by itself after that, but takes up to 5 seconds to notice. `check_running` is awaited every 0.3
    seconds, and what it raises ends the wait: a server that has ended will never listen.
    """
    end = time.monotonic() + FIRST_MOMENTS_SECONDS
    look = 0.0
    while (now := time.monotonic()) < end:
        if check_running and now >= look:
            await check_running()
            look = time.monotonic() + LOOK_AGAIN_SECONDS
        try:
            async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                _, writer = await asyncio.open_connection(*address)
        except (OSError, TimeoutError):
            await asyncio.sleep(KNOCK_AGAIN_SECONDS)
        else:
            writer.close()
            return
