"""Where the engine of an old Swarm hub is, and how it is reached."""

from xnathub_conf.migration.tree import Found
from xnathub_conf.migration.variables import Migration


def docker_api(m: Migration) -> None:
    """Carry over the address of Docker's API, and the certificates for it."""
    hub, to = m.old.hub, m.to
    host = hub.get("DOCKER_HOST", Found("", ""))
    names = {
        "ca_cert": "JH_TLS_CA_CERT",
        "client_cert": "JH_TLS_CLIENT_CERT",
        "client_key": "JH_TLS_CLIENT_KEY",
    }
    files = {key: hub[name] for key, name in names.items() if name in hub and hub[name].value}
    verify, verify_name = hub.get("JH_TLS_VERIFY"), "JH_TLS_VERIFY"
    if (
        (folder := hub.get("DOCKER_CERT_PATH"))
        and folder.value
        and hub.get("DOCKER_TLS_VERIFY", Found("", "")).value
    ):
        # docker-py's own variables, which the old hub obeyed before JH_TLS_...
        path = folder.value.rstrip("/")
        files = {
            key: Found(f"{path}/{file}", folder.origin, folder.leaf)
            for key, file in (("ca_cert", "ca.pem"), ("client_cert", "cert.pem"), ("client_key", "key.pem"))
        }
        names, verify, verify_name = (
            dict.fromkeys(files, "DOCKER_CERT_PATH"),
            hub["DOCKER_TLS_VERIFY"],
            "DOCKER_TLS_VERIFY",
        )
    remote = host.value.startswith("tcp://")
    if host.value:
        to.put("orchestrator.swarm.docker_host", host.value, "DOCKER_HOST", host)
    if not files:
        return
    if not remote or len(files) < len(names):
        why = "Docker's socket has no TLS." if not remote else "TLS wants all three: CA, certificate and key."
        for key, found in files.items():
            to.leave(names[key], found, why)
        return
    for key, found in files.items():
        to.put(f"orchestrator.swarm.tls.{key}", found.value, names[key], found)
    if verify is None or not verify.value:
        note = "the old hub did not check the engine's certificate"
        to.put("orchestrator.swarm.tls.verify", True, "JH_TLS_VERIFY", verify or Found("", "not set"), note)
    else:
        # Any text was a yes, `false` too.
        to.put("orchestrator.swarm.tls.verify", True, verify_name, verify)
