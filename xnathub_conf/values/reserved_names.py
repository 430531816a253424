"""Folders that belong to the image."""

RESERVED_TARGETS = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc", "/root", "/run", "/sbin",
    "/srv", "/sys", "/usr", "/var",
)  # fmt: skip
"""Folders of an image that no mount may hide or stand in."""

NEEDED_TARGETS = (
    "/etc/group", "/etc/hostname", "/etc/hosts", "/etc/passwd", "/etc/resolv.conf", "/etc/shadow", "/home", "/opt/conda",
    "/opt/conda/bin", "/opt/conda/lib", "/run/secrets", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local",
    "/usr/local/bin", "/usr/local/lib", "/usr/sbin", "/usr/share", "/var/lib", "/var/run", "/var/run/secrets",
    "/var/run/secrets/kubernetes.io", "/var/run/secrets/kubernetes.io/serviceaccount",
)  # fmt: skip
"""What an image, its start script or the engine needs in such a folder's place, so that no mount may hide it."""

SCRATCH = ("/tmp", "/home/jovyan")  # noqa: S108 - the container's own
"""What a server writes to as soon as it starts."""

DATA_OF_PROJECTS = "/data/projects"
"""Where XNAT mounts the data of projects, by its plugin's own choice."""

CA_FILE = "/etc/xnathub/ca.pem"
"""Where a server has the authorities that it trusts."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - not for files
"""Where a server's programs share memory."""
