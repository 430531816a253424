"""Limits on wrong passwords, so that nobody can guess one here, nor make XNAT lock an account.

XNAT locks an account after 20 wrong passwords, unless its setting maxFailedLogins says otherwise. The limits hold in
sliding windows, in the memory of the one process that the hub is.
"""

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from xnathub_conf.site.types import SignIn
from xnathub_conf.values.user_names import folded

_KEPT = 10_000
_WITH_PORT = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d+)?|([0-9.]+):\d+")


class TooManyFailures(Exception):
    """A password is not passed on to XNAT. `seconds` is how long to wait, the text says what the limit is on."""

    def __init__(self, what: str, seconds: int):
        self.seconds = seconds
        super().__init__(what)


@dataclass(frozen=True)
class Attempt:
    """One try at signing in that may be passed on to XNAT."""

    user: tuple[str, str]
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

    def begin(self, username: str, address: str, browser: str = "") -> Attempt:
        """Take a try: `browser` is what tells a known one from others, "" for strangers.

        It counts as a wrong password for the name until it has ended, so that tries at the same moment get no
        further than others. Raises TooManyFailures.
        """
        now = self._clock()
        attempt = Attempt((folded(username), browser), address, now)
        self._users.check(attempt.user, now, "this user name")
        if not browser:
            self._addresses.check(address, now, "your network address")
        self._users.add(attempt.user, now)
        return attempt

    def wrong(self, attempt: Attempt) -> None:
        """XNAT refused the password."""
        if not attempt.user[1]:
            self._addresses.add(attempt.address, attempt.at)

    def right(self, attempt: Attempt) -> None:
        """XNAT took the password; so its own count for that name starts anew."""
        self._users.forget(attempt.user)

    def undecided(self, attempt: Attempt) -> None:
        """XNAT could not be asked."""
        self._users.take_back(attempt.user, attempt.at)


class _Windows:
    """The times of failures, by key; of the keys, those with the latest failures are kept."""

    def __init__(self, limit: int, seconds: float):
        self._limit = limit
        self._seconds = seconds
        self._times: OrderedDict[object, deque[float]] = OrderedDict()

    def check(self, key: object, now: float, what: str) -> None:
        times = self._times.get(key)
        if times is None:
            return
        while times and times[0] <= now - self._seconds:
            times.popleft()
        if len(times) >= self._limit:
            raise TooManyFailures(what, max(1, round(times[-self._limit] + self._seconds - now)))

    def add(self, key: object, at: float) -> None:
        self._times.setdefault(key, deque(maxlen=self._limit)).append(at)
        self._times.move_to_end(key)
        if len(self._times) > _KEPT:
            self._times.popitem(last=False)

    def take_back(self, key: object, at: float) -> None:
        times = self._times.get(key)
        if times and at in times:
            times.remove(at)

    def forget(self, key: object) -> None:
        self._times.pop(key, None)


def client_address(peer: str, forwarded_for: str, proxies: int) -> str:
    """Return from which address a request comes, an IPv6 address as its /64 network.

    `peer` is who connected, `forwarded_for` the header X-Forwarded-For, to whose end each of so many `proxies`
    added whom it served. What stands before that was claimed by the browser, and counts for nothing.
    """
    listed = [part.strip() for part in forwarded_for.split(",") if part.strip()]
    found = listed[-min(proxies, len(listed))] if listed and proxies else peer
    address = _parsed(found) or _parsed(peer)
    if address is None:
        return peer
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ip_network((address.packed, 64), strict=False))
    return str(address)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None
