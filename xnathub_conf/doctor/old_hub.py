"""Checks that compare an old hub, while it still runs, with the site's: the same users, servers and images."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from xnathub_conf.doctor.examination import Check, Examination, Finding, failed, ok, skipped, warning
from xnathub_conf.doctor.http import NoAnswer, fetch, trust
from xnathub_conf.launch.plan import LaunchPlan, PlanError
from xnathub_conf.launch.policy import PolicyRefusal
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.values.secret import Secret, SecretError
from xnathub_conf.xnat.answers import XnatError, XnatNotFound

TOKEN_VARIABLE = "XNATHUB_AGAINST_TOKEN"  # noqa: S105 - a variable's name
"""Holds the old hub's token, where no file is named that does."""

PAGE = 100
"""How many users are asked for at once; JupyterHub gives 200 at most, unless it is told otherwise."""

PAGE_BYTES = 8 << 20
MOST_USERS = 100_000
"""What a hub may list, of users and of servers; a page of users that goes on for ever ends there."""

_AT_ONCE = 8
_NAMED = 5

Planned = Callable[[str, str], Awaitable[LaunchPlan]]
"""Asks XNAT what it would start for a user's server. Raises PlanError, PolicyRefusal or XnatError."""


class _Odd(Exception):
    """A hub's answer is none that can be used; the text says why."""


@dataclass(frozen=True)
class _Hub:
    """What a hub says: the names of its users, its admins, and the servers that run, as user and server."""

    users: frozenset[str]
    admins: frozenset[str]
    servers: frozenset[tuple[str, str]]


def old_hub_url(text: str) -> str:
    """Return an old hub's address with a slash at its end, however much of its API's path is given. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("--against wants the old hub's address, such as https://YOUR.XNAT/jupyterhub")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("--against wants an address alone; the token belongs into a file, --against-token")
    path = parts.path.rstrip("/").removesuffix("/api").removesuffix("/hub").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}/"


class OldHubChecks:
    """The checks against the old hub at `url`, whose token `token` is; `planned` asks XNAT."""

    def __init__(self, examination: Examination, url: str, token: Secret, planned: Planned):
        self._examination = examination
        self._url = url
        self._token = token
        self._planned = planned
        self._old = self._new = _Hub(frozenset(), frozenset(), frozenset())

    def checks(self) -> list[Check]:
        """List the checks in their order."""
        return [
            Check("old_hub.answers", self.answers),
            Check("old_hub.users", self.users, ("old_hub.answers", "hub.token")),
            Check("old_hub.servers", self.servers, ("old_hub.users",)),
            Check("old_hub.images", self.images, ("old_hub.answers", "xnat.role")),
        ]

    async def answers(self) -> Finding:
        """The old hub answers, and tells who its users are."""
        do = "See that it still runs, and that this is its address."
        try:
            token = self._examination.read(self._token)
        except SecretError as error:
            seen, _, do = str(error).partition(". ")
            return failed(f"The old hub's token: {seen}.", do)
        try:
            tls = trust(self._examination.site.xnat.ca_file)
            version = (await _get(f"{self._url}hub/api/", tls, None)).get("version")
            self._old = await _read(self._url, token, tls)
        except OSError:
            return failed("The file of xnat.ca_file can't be used.", "Correct it.", ("xnat", "ca_file"))
        except (NoAnswer, _Odd) as error:
            return failed(f"The old hub at {self._url}: {error}.", do)
        return ok(
            f"JupyterHub {version} answers at {self._url}, with {len(self._old.users)} users and "
            f"{len(self._old.servers)} servers that run."
        )

    async def users(self) -> Finding:
        """Whoever the old hub knows, the new one does too; and it has the same admins."""
        try:
            self._new = await self._of_the_site()
        except (NoAnswer, _Odd, SecretError) as error:
            return failed(f"The new hub: {error}.", "See its log.", ("hub", "api_token"))
        old, new = self._old, self._new
        folded = {name.casefold(): name for name in new.users}
        missing = old.users - new.users
        spelled = {name for name in missing if name.casefold() in folded}
        seen: list[str] = []
        do: list[str] = []
        key: KeyPath = ()
        if others := missing - spelled:
            seen.append(
                f"{len(others)} of {len(old.users)} users of the old hub are not at the new one: {_some(others)}."
            )
            do.append(
                "XNAT makes each of them as they start a server, or they sign in; nothing has to be done."
            )
        if spelled:
            both = (f"{name} as {folded[name.casefold()]}" for name in spelled)
            seen.append(f"The new hub spells users otherwise: {_some(both)}.")
            do.append("XNAT calls users as it spells them itself. The old spelling can go with the old hub.")
        if lost := old.admins - new.admins:
            seen.append(f"Admins of the old hub alone: {_some(lost)}.")
            do.append("Name them in hub.admin_users, if they are to be admins.")
            key = ("hub", "admin_users")
        if seen:
            return warning(" ".join(seen), " ".join(do), key)
        more = len(new.users - old.users)
        return ok(
            f"All {len(old.users)} users of the old hub are at the new one"
            + (f", and {more} more." if more else ".")
        )

    async def _of_the_site(self) -> _Hub:
        token = self._examination.read(self._examination.site.hub.api_token)
        return await _read(self._examination.hub_url, token, trust(None))

    async def servers(self) -> Finding:
        """Each server that runs at the old hub runs at the new one."""
        left = self._old.servers - self._new.servers
        if not left:
            return ok(f"All {len(self._old.servers)} servers of the old hub run at the new one too.")
        return warning(
            f"{len(left)} of {len(self._old.servers)} servers run at the old hub alone: {_some(map(_whose, left))}.",
            "They end with the old hub. Ask these people to save and stop; XNAT starts their servers at the new one.",
        )

    async def images(self) -> Finding:
        """What XNAT had started for each server of the old hub, the site's rules allow as well."""
        turns = asyncio.Semaphore(_AT_ONCE)
        images: set[str] = set()
        silent: list[str] = []
        refused: list[tuple[str, PolicyRefusal]] = []
        wrong: list[str] = []

        async def look(user: str, server: str) -> None:
            whose = _whose((user, server))
            async with turns:
                try:
                    images.add((await self._planned(user, server)).image)
                except XnatNotFound:
                    silent.append(whose)
                except PolicyRefusal as refusal:
                    refused.append((whose, refusal))
                except (PlanError, XnatError) as error:
                    wrong.append(f"{whose} ({str(error).rstrip('.')})")

        await asyncio.gather(*(look(*each) for each in sorted(self._old.servers)))
        asked = len(self._old.servers) - len(silent)
        if refused:
            _, refusal = min(refused, key=lambda each: each[0])
            key: KeyPath = tuple(refusal.key.split(".")) if refusal.key else ()
            return failed(
                f"The site's rules refuse {len(refused)} of {asked} servers of the old hub: {_some(name for name, _ in refused)}. "
                f"The first, by the rule {refusal.rule}: {refusal}",
                f"If it should be allowed, change {refusal.key or 'the rules under servers'}.",
                key,
            )
        if wrong:
            return failed(f"What XNAT had started can't be read: {_some(wrong)}.", "Look at XNAT's own log.")
        if not asked:
            return skipped(
                "XNAT holds nothing that it had started at the old hub, so no image can be compared."
            )
        return ok(f"The site's rules allow the images of {asked} servers of the old hub: {_some(images)}.")


async def _get(url: str, tls: Any, token: str | None) -> dict[str, Any]:
    """Get a JSON object from a hub's API. Raises NoAnswer, or _Odd."""
    headers = {"Accept": "application/jupyterhub-pagination+json"}
    if token:
        headers["Authorization"] = f"token {token}"
    response = await fetch(url, tls, headers, max_body=PAGE_BYTES)
    if response.code in {401, 403}:
        raise _Odd(f"it refuses the token with {response.code}; one that may list users is wanted")
    try:
        data = json.loads(response.body)
    except (ValueError, RecursionError):
        data = None
    if response.code != 200 or not isinstance(data, dict | list):
        raise _Odd(f"the answer is {response.code} {response.reason}, and none of a hub's API")
    # A JupyterHub before 2.0 knows no pages.
    return data if isinstance(data, dict) else {"items": data}


async def _read(url: str, token: str, tls: object) -> _Hub:
    """List a hub's users, page by page. Raises NoAnswer, or _Odd."""
    users: dict[str, bool] = {}
    servers: set[tuple[str, str]] = set()
    offset: int | None = 0
    while offset is not None:
        page = await _get(f"{url}hub/api/users?limit={PAGE}&offset={offset}", tls, token)
        try:
            before = len(users)
            for user in page["items"]:
                name = _name(user["name"])
                users[name] = bool(user.get("admin"))
                servers |= {
                    (name, _name(server))
                    for server, model in (user.get("servers") or {}).items()
                    if model.get("ready") or model.get("pending") == "spawn"
                }
            after = (page.get("_pagination") or {}).get("next")
            offset = int(after["offset"]) if after and len(users) > before else None
        except (LookupError, TypeError, ValueError, AttributeError):
            raise _Odd("its list of users is none that JupyterHub gives") from None
        if len(users) > MOST_USERS or len(servers) > MOST_USERS:
            raise _Odd(f"it lists more than {MOST_USERS:,} users or servers")
    admins = {name for name, admin in users.items() if admin}
    return _Hub(frozenset(users), frozenset(admins), frozenset(servers))


def _name(value: object) -> str:
    """Return a name as it is in a list of users. Raises ValueError."""
    if not isinstance(value, str) or len(value) > 255:
        raise ValueError("no name")
    return value


def _whose(server: tuple[str, str]) -> str:
    return "/".join(part for part in server if part)


def _some(names: Iterable[str]) -> str:
    """Name a few, and say how many more there are."""
    all_names = sorted(names)
    more = len(all_names) - _NAMED
    return ", ".join(all_names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
