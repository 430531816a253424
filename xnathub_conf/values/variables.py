"""Who may set which variable of a server: a table, read from the top. docs/security.md shows it."""

import re
from fnmatch import translate
from typing import Literal, NamedTuple

Setter = Literal["xnat", "site"]
"""Who sets a variable: XNAT with its answer, or the site with servers.environment."""


class Row(NamedTuple):
    """One row: names (with `*` for any characters, `[Xx]` for either), who may set them, and why nobody else may, as the end of a sentence."""

    names: tuple[str, ...]
    setters: frozenset[Setter]
    why: str


_NOBODY: frozenset[Setter] = frozenset()
_SITE: frozenset[Setter] = frozenset({"site"})
_BOTH: frozenset[Setter] = frozenset({"site", "xnat"})

TABLE = (
    Row(("JUPYTERHUB_ROOT_DIR", "JUPYTERHUB_DEFAULT_URL", "JUPYTERHUB_SINGLEUSER_EXTENSION"), _BOTH, ""),
    Row(
        (
            "JUPYTERHUB_SINGLEUSER_APP", "JUPYTERHUB_ALLOW_TOKEN_IN_URL", "JUPYTERHUB_LOG_LEVEL",
            "JUPYTERHUB_DEBUG", "JUPYTERHUB_DISABLE_USER_CONFIG", "JUPYTERHUB_NOTEBOOK_DIR",
        ),
        _SITE,
        "it changes how the server lets people in, or which program it is",
    ),
    Row(("JUPYTERHUB_*", "JPY_*"), _NOBODY, "the hub and its servers find and trust each other by it"),
    Row(("NB_UID", "NB_GID"), _NOBODY, "the hub sets it from servers.uid and servers.gid"),
    Row(("NB_UMASK",), _BOTH, ""),
    Row(
        ("NB_*", "CHOWN_*", "SUDO_*", "GRANT_SUDO", "RESTARTABLE", "DOCKER_STACKS_*", "HOME", "USER", "LOGNAME", "SHELL"),
        _SITE,
        "the image's start script, which begins as root, acts on it",
    ),
    Row(
        (
            "LD_*", "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "MALLOC_*", "PATH", "TMPDIR", "HOSTALIASES", "RES_OPTIONS", "LOCALDOMAIN",
            "RESOLV_*", "OPENSSL_*", "KRB5_*", "PKCS11_*", "TERMINFO*", "TERMCAP", "*_INJECTION*_PATH", "OMP_TOOL*", "OCL_ICD_*", "VK_*_PATH",
            "VK_*FILE*", "LIBGL_DRIVERS_PATH", "HSA_TOOLS_LIB", "ZE_ENABLE_*", "GIO_*MODULE*", "GTK_*MODULES", "GTK_PATH", "GDK_PIXBUF_MODULE*", "GST_*PLUGIN*", "QT_*PLUGIN_PATH",
        ),
        _SITE,
        "it decides which libraries and programs are loaded",
    ),
    Row(
        (
            "IFS", "ENV", "BASH_*", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "CDPATH", "GLOBIGNORE", "ZDOTDIR", "FPATH",
            "LESSOPEN", "LESSCLOSE", "PAGER", "MANPAGER", "*_PAGER", "EDITOR", "VISUAL", "*_EDITOR", "BROWSER", "*_ASKPASS",
        ),
        _SITE,
        "a shell or one of its programs runs what it says",
    ),
    Row(
        ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
        _BOTH,
        "",
    ),
    Row(("GIT_*", "GH_*", "SSH_*"), _SITE, "Git or SSH runs or trusts what it says"),
    Row(
        ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONFAULTHANDLER"),
        _BOTH,
        "",
    ),
    Row(
        (
            "PYTHON*", "PYSPARK_*", "SPARK_HOME", "SPARK_CONF_DIR", "PERL*", "RUBY*", "NODE_*", "[Nn][Pp][Mm]_*", "R_PROFILE*", "R_ENVIRON*", "R_LIBS*", "R_HOME", "R_DEFAULT_PACKAGES",
            "RSTUDIO_*", "JULIA_LOAD_PATH", "JULIA_DEPOT_PATH", "JULIA_PROJECT", "JULIA_BINDIR", "JULIA_SYSIMAGE*", "JAVA_*", "_JAVA_*",
            "JDK_JAVA_*", "CLASSPATH", "LUA_*", "TCL*PATH", "MATLABPATH", "OCTAVE_*", "PHPRC", "PHP_INI_*",
        ),
        _SITE,
        "an interpreter loads code from where it says",
    ),
    Row(
        (
            "IPYTHONDIR", "IPYTHON_*", "JUPYTERLAB_*", "JUPYTER_CONFIG*", "JUPYTER_DATA_DIR", "JUPYTER_PATH", "JUPYTER_RUNTIME_DIR",
            "JUPYTER_NO_CONFIG", "JUPYTER_PREFER_ENV_PATH", "JUPYTER_PLATFORM_DIRS", "JUPYTER_USE_*", "JUPYTER_TOKEN*",
            "JUPYTER_ALLOW_*", "JUPYTER_SERVER_*", "JUPYTER_GATEWAY_*",
        ),
        _SITE,
        "Jupyter loads settings and extensions from where it says, or lets people in by it",
    ),
    Row(
        ("CONDA*", "MAMBA*", "_CE_*", "PIP_*", "UV_*", "PIPX_*", "POETRY_*", "PIXI_*", "VIRTUAL_ENV*"),
        _SITE,
        "packages are had from where it says",
    ),
    Row(
        (
            "*_[Pp][Rr][Oo][Xx][Yy]", "SSL_CERT_*", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_*", "AWS_CA_BUNDLE", "WGETRC", "SYSTEM_WGETRC", "NETRC",
        ),
        _SITE,
        "what the server says to the hub and to XNAT, its token too, would go or be trusted as it says",
    ),
    Row(
        (
            "*_VISIBLE_DEVICES", "NVIDIA_*", "DOCKER_RESOURCE_*", "GPU_DEVICE_ORDINAL", "HABANA_*", "ASCEND_*", "MTHREADS_*", "NEURON_RT_VISIBLE_CORES",
            "ZE_AFFINITY_MASK", "ONEAPI_DEVICE_SELECTOR", "SYCL_DEVICE_*", "CDI_*",
        ),
        _SITE,
        "it hands out GPUs, which XNAT asks for as generic resources, within servers.caps",
    ),
    Row(("*",), _BOTH, ""),
)  # fmt: skip
"""The first row that holds a name counts."""

_PATTERNS = [(re.compile("|".join(map(translate, row.names))), row) for row in TABLE]


def refused(name: str, setter: Setter) -> str | None:
    """Return why `setter` may not set a variable, as the end of a sentence; None where it may."""
    row = row_of(name)
    return None if setter in row.setters else row.why


def row_of(name: str) -> Row:
    """Return the row of the table that holds a variable's name."""
    return next(row for pattern, row in _PATTERNS if pattern.match(name))
