"""What a pod sees of its node: `kubernetes_nodes` runs this file there with Python alone, so it imports nothing of ours."""

import hashlib
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path

_SECONDS = 10
_MOST_NAMES, _MOST_USERS = 200, 20


def seen(asked: dict[str, object]) -> dict[str, object]:
    """Return what is seen of the folders of claims, users' folders, XNAT, the hub, the clock and the disk."""
    folders: dict[str, str] = asked["folders"]  # type: ignore[assignment]
    writable: dict[str, str] = asked["writable"]  # type: ignore[assignment]
    xnat, clock = _reached(str(asked["xnat"]))
    hub, _ = _reached(str(asked["hub"]))
    disk = os.statvfs("/")
    return {
        "folders": {name: _folder(path) for name, path in folders.items()},
        "writable": {name: _not_writable(path) for name, path in writable.items()},
        "xnat": xnat,
        "hub": hub,
        "clock": clock,
        "free": disk.f_bavail * disk.f_frsize,
    }


def _folder(path: str) -> dict[str, object]:
    """Return why a folder can't be read, or hashes of names in it, by which those of two nodes can be compared."""
    try:
        names = sorted(each.name for each in Path(path).iterdir())[:_MOST_NAMES]
    except OSError as error:
        return {"error": error.strerror}
    return {"names": [hashlib.sha256(os.fsencode(name)).hexdigest()[:12] for name in names]}


def _not_writable(path: str) -> str:
    """Return why the folders in a folder can't be written to, "" where they can."""
    try:
        found = islice((each for each in Path(path).iterdir() if each.is_dir()), _MOST_USERS)
        owners = {each.stat().st_uid for each in found if not os.access(each, os.W_OK | os.X_OK)}
    except OSError as error:
        return str(error.strerror)
    return (
        f"not writable for UID {os.getuid()}, owned by {', '.join(map(str, sorted(owners)))}"
        if owners
        else ""
    )


def _reached(url: str) -> tuple[str, float | None]:
    """Return why nothing answers at an address, "" where something does, and how many seconds the clock is ahead of it."""
    # Only the way is looked at: nothing is sent, and what comes is not believed.
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=anyone)
    )
    try:
        answer = opener.open(url, timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        answer = error
    except OSError as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason), None
    with answer:
        date = answer.headers.get("Date")
    return "", time.time() - parsedate_to_datetime(date).timestamp() if date else None


if __name__ == "__main__":
    # With a word before it: the client of Kubernetes reads a log that is JSON alone, and gives something else.
    print(f"seen {json.dumps(seen(json.loads(os.environ['ASKED'])))}")
