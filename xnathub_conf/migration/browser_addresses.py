"""Where browsers reach the old hub and XNAT, and whether these are two hosts."""

import re

from xnathub_conf.migration.ledger import NotCarriedError
from xnathub_conf.migration.rules import address, host_of
from xnathub_conf.migration.tree import Found, Node
from xnathub_conf.migration.variables import Migration


def addresses(m: Migration, base_url: str) -> None:
    """Carry over XNAT's address for browsers and the hub's; `base_url` is the hub's path.

    What XNAT knows as the hub's host is XNAT's own too, unless XNAT is known to have another one.
    """
    to, name = m.to, "JH_XNAT_JUPYTERHUB_HOST_URL"
    found = m.old.plugin.get(name)
    if not (found and found.value):
        name, found = _ingress(m)
    xnat_at = m.public_url or to.site.get("xnat", {}).get("url", "")
    own = (
        found is not None
        and (m.public_url or xnat_at.startswith("https:"))
        and host_of(found.value) != host_of(xnat_at)
    )
    if m.public_url and not own:
        if found:
            to.ignore(name, found, "--public-url says it.")
        name, found = "--public-url", Found("", "the command line")
    if not found:
        if "public_url" not in to.site.get("hub", {}):
            to.to_do.append(
                "XNAT's address for browsers is not in the old files. Write it as xnat.public_url, and the hub's as "
                "hub.public_url, or call this again with --public-url https://YOUR.XNAT"
            )
        return
    public = (found.value or m.public_url or "").rstrip("/")
    if m.public_url and own and m.public_url.rstrip("/") != to.site["xnat"].get("url"):
        command = Found("", "the command line")
        to.put("xnat.public_url", m.public_url.rstrip("/"), "--public-url", command)
    elif not own and public != to.site.get("xnat", {}).get("url"):
        to.put("xnat.public_url", public, name, found)
    try:
        parts = address(public)
    except NotCarriedError as error:
        to.leave(name, found, str(error))
        return
    note = f"a host of its own, beside XNAT's {host_of(xnat_at)}: docs/own-host.md" if own else ""
    to.put("hub.public_url", f"{parts.scheme}://{parts.netloc}{base_url}", name, found, note)
    if own:
        to.put("sign_in.xnat_session", False, name, found)


def _ingress(m: Migration) -> tuple[str, Found | None]:
    """Return the address at which a chart let browsers in, where one host alone is named."""
    top = m.old.chart.top.get("jupyterhub") if m.old.chart else Node("", (), 0)
    for path, sign in ((("ingress",), "enabled"), (("proxy", "https"), "enabled")):
        hosts = top.get(*path, "hosts").items
        if (
            top.get(*path, sign).text == "true"
            and len(hosts) == 1
            and re.fullmatch(r"[A-Za-z0-9.-]+", hosts[0].text)
        ):
            return hosts[0].name, Found(f"https://{hosts[0].text}", hosts[0].origin, hosts[0])
    return "", None
