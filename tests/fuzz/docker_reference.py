"""Image references as Docker reads them, written down a second time from Docker's own grammar, for tests.

The grammar's lines are those in the comment at the top of reference.go of https://github.com/distribution/reference, and
what comes before and after it, the defaults, is in normalize.go there.
"""

import re

_ALPHA_NUMERIC = "[a-z0-9]+"
_SEPARATOR = "(?:[_.]|__|[-]+)"
_PATH_COMPONENT = f"{_ALPHA_NUMERIC}(?:{_SEPARATOR}{_ALPHA_NUMERIC})*"
_DOMAIN_COMPONENT = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN_NAME = rf"{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*"
_DOMAIN = rf"(?:{_DOMAIN_NAME}|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_NAME = f"(?P<domain>{_DOMAIN})/(?P<path>{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*)"
_DIGEST = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?a:{_NAME}(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?)"
)
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


def docker_reads(text):
    """Return what Docker reads: registry, repository, tag and digest, each of the last two or None. None where it refuses."""
    if re.fullmatch("[a-f0-9]{64}", text):
        return None
    domain, slash, rest = text.partition("/")
    if not slash:
        domain, rest = "docker.io", f"library/{text}"
    elif domain == "index.docker.io":
        domain = "docker.io"
    elif not ("." in domain or ":" in domain or domain == "localhost" or domain.lower() != domain):
        domain, rest = "docker.io", text
    if domain == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    match = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if not match or len(match["path"]) > 255:
        return None
    digest = match["digest"]
    if digest:
        algorithm, _, encoded = digest.partition(":")
        if not re.fullmatch(f"[0-9a-f]{{{_DIGEST_LENGTHS.get(algorithm, 0)}}}", encoded):
            return None
    tag = match["tag"] or (None if digest else "latest")
    return match["domain"], match["path"], tag, digest
