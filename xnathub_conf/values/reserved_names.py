"""Folders that belong to the image."""

RESERVED_TARGETS = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc", "/root", "/run", "/sbin",
    "/srv", "/sys", "/usr", "/var",
)  # fmt: skip
"""Folders of an image that no mount may hide or stand in."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - not for files
"""Where a server's programs share memory."""
