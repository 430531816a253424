"""Folders and variables that belong to the image or the hub."""

RESERVED_TARGETS = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc", "/root", "/run", "/sbin",
    "/srv", "/sys", "/usr", "/var",
)  # fmt: skip
"""Folders of an image that no mount may hide or stand in."""

XNAT_VARIABLES = frozenset({"JUPYTERHUB_ROOT_DIR", "JUPYTERHUB_DEFAULT_URL"})
"""The names of JupyterHub's own that XNAT may set."""

_RESERVED_PREFIXES = (
    "JUPYTERHUB_", "JUPYTER_", "JPY_", "NB_", "LD_", "PYTHON", "BASH_", "GIT_SSH", "CHOWN_", "SUDO_", "PERL5", "MALLOC_", "DOCKER_STACKS_",
)  # fmt: skip
_RESERVED_NAMES = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "IFS", "ENV", "GRANT_SUDO", "RESTARTABLE", "NODE_OPTIONS", "GCONV_PATH", "SHELLOPTS",
        "BASHOPTS", "PS4", "PROMPT_COMMAND", "CDPATH", "GLOBIGNORE", "GLIBC_TUNABLES", "LOCPATH", "HOSTALIASES", "RUBYOPT", "TMPDIR",
    }
)  # fmt: skip


def reserved_variable(name: str) -> bool:
    """Say whether a variable would take over what the hub or the image sets itself."""
    if name in XNAT_VARIABLES:
        return False
    return name in _RESERVED_NAMES or name.startswith(_RESERVED_PREFIXES)
