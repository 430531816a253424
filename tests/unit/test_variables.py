"""Who may set which variable, row by row."""

from urllib.request import getproxies_environment

import pytest

from xnathub_conf.values.variables import TABLE, refused, row_of

ROWS = {
    # XNAT and the site.
    ("yes", "yes"): (
        "JUPYTERHUB_ROOT_DIR", "JUPYTERHUB_DEFAULT_URL", "JUPYTERHUB_SINGLEUSER_EXTENSION", "NB_UMASK", "GIT_AUTHOR_NAME", "GIT_COMMITTER_EMAIL",
        "PYTHONUNBUFFERED", "XNAT_HOST", "XNAT_PASS", "XDG_CONFIG_HOME", "TZ", "LANG", "MY_PATH", "XPYTHON", "A", "JUPYTER_ENABLE_LAB", "JUPYTER_PORT",
        "OMP_NUM_THREADS", "LDAP", "QT_QPA_PLATFORM", "VK_LOADER_DEBUG", "ZE_FLAT_DEVICE_HIERARCHY", "MY_PROXY_HOST", "GTK_THEME", "SPARK_LOCAL_IP", "NBX", "KERNEL_LAUNCH_TIMEOUT", "JUPYTERX",
    ),
    # The site alone.
    ("no", "yes"): (
        "JUPYTERHUB_SINGLEUSER_APP", "JUPYTERHUB_ALLOW_TOKEN_IN_URL", "NB_USER", "NB_GROUP", "CHOWN_EXTRA", "SUDO_ASKPASS", "GRANT_SUDO", "RESTARTABLE",
        "DOCKER_STACKS_JUPYTER_CMD", "HOME", "USER", "LOGNAME", "SHELL", "LD_PRELOAD", "LD_LIBRARY_PATH", "GCONV_PATH", "GLIBC_TUNABLES", "MALLOC_PERTURB_",
        "PATH", "TMPDIR", "HOSTALIASES", "OPENSSL_CONF", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "LESSOPEN", "PAGER",
        "GIT_PAGER", "GIT_EXEC_PATH", "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_SSH_COMMAND", "GIT_ASKPASS", "PYTHON", "PYTHONPATH", "PYTHONSTARTUP",
        "PERL5LIB", "RUBYOPT", "NODE_PATH", "NODE_OPTIONS", "R_PROFILE_USER", "R_LIBS_USER", "JULIA_LOAD_PATH", "JAVA_TOOL_OPTIONS", "CLASSPATH", "IPYTHONDIR",
        "JUPYTERLAB_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_PATH", "JUPYTER_TOKEN", "CONDARC", "CONDA_ENVS_PATH", "PIP_CONFIG_FILE", "UV_INDEX_URL",
        "CUDA_INJECTION64_PATH", "OMP_TOOL_LIBRARIES", "OCL_ICD_VENDORS", "VK_ICD_FILENAMES", "VK_DRIVER_FILES", "VK_LAYER_PATH", "ZE_ENABLE_ALT_DRIVERS", "HSA_TOOLS_LIB",
        "GIO_EXTRA_MODULES", "GTK_MODULES", "GST_PLUGIN_PATH", "QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH", "PYSPARK_PYTHON", "SPARK_HOME", "Npm_config_registry",
        "HTTP_PROXY", "https_proxy", "NO_PROXY", "Http_Proxy", "socks_proxy", "HTTPS_proXY", "SYCL_DEVICE_FILTER", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES", "DOCKER_RESOURCE_GPU", "AMD_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
        "ZE_AFFINITY_MASK", "HABANA_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES", "ASCEND_RUNTIME_MOUNTS", "MTHREADS_DRIVER_CAPABILITIES", "AWS_NEURON_VISIBLE_DEVICES",
    ),
    # Nobody but the hub.
    ("no", "no"): (
        "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_USER", "JUPYTERHUB_CLIENT_ID",
        "JUPYTERHUB_HOST", "JUPYTERHUB_", "JUPYTERHUB_XSRF_ANONYMOUS_IP_CIDRS", "JPY_API_TOKEN", "JPY_PARENT_PID", "NB_UID", "NB_GID",
    ),
}  # fmt: skip
CASES = [(name, *who) for who, names in ROWS.items() for name in names]


@pytest.mark.parametrize(("name", "xnat", "site"), CASES)
def test_a_variable_may_be_set_by_those_whom_the_table_names(name, xnat, site):
    assert (refused(name, "xnat") is None, refused(name, "site") is None) == (xnat == "yes", site == "yes")


def test_each_row_is_tested_and_gives_a_reason_where_it_refuses():
    assert {row_of(name).names for name, *_ in CASES} == {row.names for row in TABLE}
    for row in TABLE:
        assert row.why or len(row.setters) == 2, row.names


@pytest.mark.parametrize("form", [str.upper, str.lower, str.title, str.swapcase])
@pytest.mark.parametrize("scheme", ["http", "https", "all", "no", "socks"])
def test_xnat_names_no_proxy_that_python_would_take(scheme, form, monkeypatch):
    name = form(f"{scheme}_proxy")
    monkeypatch.setenv(name, "http://elsewhere")
    assert getproxies_environment()[scheme] == "http://elsewhere"
    assert refused(name, "xnat")
