"""Limits on wrong passwords, so that nobody can guess one here, nor make XNAT lock an account.

XNAT locks an account after 20 wrong passwords, unless its setting maxFailedLogins says otherwise. The limits hold in
sliding windows, in the memory of the one process that the hub is.
"""

import asyncio
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from itertools import islice

from xnathub_conf.site.types import SignIn
from xnathub_conf.values.user_names import folded
from xnathub_conf.web.incoming import parsed_address

_KEPT = 10_000
_LOOKED_AT = 100
_ADDRESS = "your network address"
_LONGEST_WAIT = 20.0


class TooManyFailures(Exception):
    """A password is not passed on to XNAT. `seconds` is how long to wait, the text says what the limit is on."""

    def __init__(self, what: str, seconds: int):
        self.seconds = seconds
        super().__init__(what)


@dataclass(frozen=True)
class Attempt:
    """One try at signing in that may be passed on to XNAT."""

    user: tuple[str, str]
    spelling: str
    address: str
    at: float


class SignInLimits:
    """Counts wrong passwords for each user name and from each address.

    A browser in which someone signed in before is known, and counts by itself: strangers who guess at a name can't
    keep its owner out, nor can others who share an address.
    """

    def __init__(self, rules: SignIn, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._users = _Windows(rules.failures_per_user, rules.failures_window)
        self._addresses = _Windows(rules.failures_per_address, rules.failures_window)
        self._sessions = _Windows(rules.failures_per_address, rules.failures_window)
        self._turns, self._session_turns = _Turns(), _Turns()

    async def begin(self, username: str, address: str, browser: str = "") -> Attempt:
        """Take a try: `browser` is what tells a known one from others, "" for strangers.

        It counts as a wrong password for the name until it has ended, so that tries at the same moment get no
        further than others. From one address no more tries are under way than may still go wrong; the others wait.
        Raises TooManyFailures.
        """
        now = self._clock()
        attempt = Attempt((folded(username), browser), username, "" if browser else address, now)
        if attempt.address:
            # First, so that who gets no further does not fill the memory with names.
            self._addresses.check(attempt.address, now, _ADDRESS)
        self._users.check(attempt.user, now, "this user name")
        self._users.add(attempt.user, now, username)
        try:
            if address := attempt.address:
                await self._turns.take(
                    address, lambda: self._addresses.room(address, self._clock(), _ADDRESS)
                )
        except BaseException:
            self._users.take_back(attempt.user, now)
            raise
        return attempt

    def wrong(self, attempt: Attempt) -> None:
        """XNAT refused the password."""
        if attempt.address:
            self._addresses.add(attempt.address, attempt.at)
        self._end(attempt)

    def right(self, attempt: Attempt) -> None:
        """XNAT took the password; so its own count for that name starts anew, as it was typed and no other way."""
        self._users.forget(attempt.user, attempt.spelling)
        self._end(attempt)

    def undecided(self, attempt: Attempt) -> None:
        """XNAT could not be asked."""
        self._users.take_back(attempt.user, attempt.at)
        self._end(attempt)

    def _end(self, attempt: Attempt) -> None:
        if attempt.address:
            self._turns.end(attempt.address)

    @asynccontextmanager
    async def session(self, asker: str) -> AsyncIterator[Callable[[], None]]:
        """Wait until XNAT may be asked whose a session is, for an address or a known browser; give what notes that it is nobody's.

        There is no end to such sessions, since a real one comes from the same address: after many that were nobody's, one
        is asked about at a time. Raises TimeoutError after a long wait.
        """

        def room() -> int:
            try:
                return self._sessions.room(asker, self._clock(), "")
            except TooManyFailures:
                return 1

        async with asyncio.timeout(_LONGEST_WAIT):
            await self._session_turns.take(asker, room)
        try:
            yield lambda: self._sessions.add(asker, self._clock())
        finally:
            self._session_turns.end(asker)


class _Turns:
    """Lets as many go on at once, of those with one key, as there is room for; the others wait, and go on in order."""

    def __init__(self) -> None:
        self._going: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    async def take(self, key: str, room: Callable[[], int]) -> None:
        """Wait for a turn."""
        turn = None
        try:
            while (turn is None and self._waiting.get(key)) or self._going[key] >= room():
                # Who was woken for nothing stays the first.
                queue = self._waiting[key].append if turn is None else self._waiting[key].appendleft
                turn = asyncio.get_running_loop().create_future()
                queue(turn)
                await turn
        except BaseException:
            self._next(key)
            raise
        self._going[key] += 1

    def end(self, key: str) -> None:
        self._going[key] -= 1
        self._next(key)

    def _next(self, key: str) -> None:
        """Let the next one that waits look again; each that does not go on lets the next one."""
        waiting = self._waiting[key]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        if not waiting:
            del self._waiting[key]
        if self._going[key] <= 0:
            del self._going[key]


class _Windows:
    """The times of failures, by key; of the keys, those with the latest failures are kept, and those with many."""

    def __init__(self, limit: int, seconds: float):
        self._limit = limit
        self._seconds = seconds
        self._times: OrderedDict[object, deque[tuple[float, str]]] = OrderedDict()

    def check(self, key: object, now: float, what: str) -> None:
        """Raise TooManyFailures where there is no room for another one."""
        self.room(key, now, what)

    def room(self, key: object, now: float, what: str) -> int:
        """Return how many more failures there may be, 1 or more. Raises TooManyFailures."""
        times = self._times.get(key)
        if times is None:
            return self._limit
        while times and times[0][0] <= now - self._seconds:
            times.popleft()
        if len(times) >= self._limit:
            seconds = times[-self._limit][0] + self._seconds - now
            raise TooManyFailures(what, max(1, round(seconds)))
        return self._limit - len(times)

    def add(self, key: object, at: float, spelling: str = "") -> None:
        self._times.setdefault(key, deque(maxlen=self._limit)).append((at, spelling))
        self._times.move_to_end(key)
        if len(self._times) > _KEPT:
            # Not simply the oldest: names made up by the thousand would push out one that is at its limit.
            oldest = islice(self._times, _LOOKED_AT)
            del self._times[min(oldest, key=lambda each: len(self._times[each]))]

    def take_back(self, key: object, at: float) -> None:
        for time_and_spelling in self._times.get(key, ()):
            if time_and_spelling[0] == at:
                self._times[key].remove(time_and_spelling)
                if not self._times[key]:
                    del self._times[key]
                return

    def forget(self, key: object, spelling: str) -> None:
        """Forget the failures that were counted for one way to write a name."""
        left = [each for each in self._times.pop(key, ()) if each[1] != spelling]
        if left:
            self._times[key] = deque(left, maxlen=self._limit)


def counted_as(address: str) -> str:
    """Return what an address counts as: one of IPv6 as its /64 network."""
    parsed = parsed_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed.packed, 64), strict=False))
    return str(parsed or address)
