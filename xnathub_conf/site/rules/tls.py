"""Rules of the hub's own certificate."""

import ssl

from xnathub_conf.site.kinds import kind_of
from xnathub_conf.site.problems import KeyPath
from xnathub_conf.site.rules.reporting import report
from xnathub_conf.site.types import Site
from xnathub_conf.site.yaml_source import Document

_KEY: KeyPath = ("hub", "tls")


def check_tls(document: Document, site: Site) -> None:
    """A certificate is where the hub's proxy has a use for it, and browsers come over https then."""
    if site.hub.tls is None:
        return
    public_url = site.hub.public_url or ""
    if fault := kind_of(site).certificate_elsewhere:
        found = fault.message
        document.report(document.key_mark(_KEY), _KEY, fault.rule, found, fault.fix)
    elif public_url.startswith("http:"):
        found = "Browsers would not get through: with `tls` the hub's proxy speaks https."
        fix = f"Write https:{public_url.removeprefix('http:')}."
        report(document, ("hub", "public_url"), "own-certificate", found, fix)


def check_certificate(document: Document, site: Site) -> None:
    """The files of a certificate hold one, and its key. On the hub's host alone."""
    tls = site.hub.tls
    if tls is None or any(problem.path[:2] == _KEY for problem in document.problems):
        return
    try:
        # A key with a passphrase would be asked for at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        if "MISMATCH" in str(getattr(error, "reason", None) or ""):
            found = f"The key in {tls.key} is not that of the certificate in {tls.cert}."
            fix = "Name the two that belong together."
        else:
            found = f"{tls.cert} and {tls.key} hold no certificate and key that the hub can use."
            fix = "Write PEM files: the certificate with those that lead to its authority, and its key without a passphrase."
        report(document, _KEY, "own-certificate", found, fix)
