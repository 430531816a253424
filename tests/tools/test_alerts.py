"""The rules for Prometheus, evaluated by its own promtool on what a real hub's metrics say before and after real faults."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support import ROOT, SMALL_SERVER, RunningHub, Visitor, install, new_standin, wait_until
from xnathub_conf.standin import Environment, HubError, faults

RULES = ROOT / "grafana" / "alerts.yaml"
NAMES = [rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]]
TOKEN = "metrics-token-" + "0123456789abcdef" * 2
UP = 'up{job="xnathub"}'
FAULT = 15
"""The minute of the fault in a test's made-up hour; samples come every 15 seconds."""

Samples = dict[str, float]


@pytest.fixture(scope="module", autouse=True)
def promtool() -> None:
    if not shutil.which("promtool"):
        install("tools", "prometheus")


@pytest.fixture(scope="module")
def xnat():
    with new_standin() as xnat:
        yield xnat


@pytest.fixture(scope="module")
def hub(xnat, tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    (folder / "metrics_token").write_text(TOKEN)
    changes = {
        "hub": {"metrics_token": {"file": f"{folder}/metrics_token"}},
        "servers": {"concurrent_starts": 1},
    }
    hub = RunningHub(folder, xnat, changes)
    try:
        yield hub.start()
    finally:
        hub.stop()


def series(name: str, labels: dict[str, str]) -> str:
    written = ",".join(f'{label}="{value}"' for label, value in {"job": "xnathub", **labels}.items())
    return f"{name}{{{written}}}"


def samples(hub: RunningHub) -> Samples:
    """Return the series that the rules name, as Prometheus has them from a hub that is up."""
    text = requests.get(
        f"{hub.url}/hub/metrics", headers={"Authorization": f"token {TOKEN}"}, timeout=30
    ).text
    named = set(re.findall(r"\b(?:xnathub|jupyterhub|process)_\w+", RULES.read_text()))
    found = {
        series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in named
    }
    assert named - {"xnathub_conf"} == {name.partition("{")[0] for name in found}
    return {UP: 1, **found}


def fired(folder: Path, *states: Samples) -> set[str]:
    """Return the rules that fire within two minutes of a fault; `states` are the series before, and after each of its steps.

    Before the fault, nothing may have fired.
    """
    # The fault comes right after its minute.
    steps = 4 * FAULT + 1
    inputs = []
    for name in dict.fromkeys(name for state in states for name in state):
        first, *later = [state.get(name) for state in states]
        # The last step lasts; each one before it takes 15 seconds.
        values = [_value(first)] * steps + [_value(each) for each in later[:-1]] + [_value(later[-1])] * 20
        inputs.append({"series": name, "values": " ".join(values)})
    expected: set[str] = set()
    while True:
        query = {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)],
        }
        before = {**query, "eval_time": f"{FAULT}m", "exp_samples": []}
        tests = [{"interval": "15s", "input_series": inputs, "promql_expr_test": [before]}]
        tests[0]["promql_expr_test"].append({**query, "eval_time": f"{FAULT + 2}m15s"})
        file = folder / "test.yaml"
        file.write_text(
            yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": tests})
        )
        done = subprocess.run(
            ["promtool", "test", "rules", file], capture_output=True, text=True, timeout=120
        )
        said = done.stdout + done.stderr
        if done.returncode == 0:
            return expected
        got = said.partition(f"time: {FAULT + 2}m15s")[2].partition("got:")[2]
        found = set(re.findall(r'alertname=\\?"(\w+)', got))
        assert found, said
        assert found != expected, said
        expected = found


def _value(value: float | None) -> str:
    return "_" if value is None else str(value)


def test_they_are_well_formed_and_led_to_a_page():
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert 1 < len(NAMES) <= 10
    for name in NAMES:
        assert f"#{name.lower()}" in RULES.read_text()
        assert f"### {name}\n" in page


def test_normal_use_fires_nothing(hub: RunningHub, xnat, tmp_path):
    before = settled(hub)
    xnat.state.environment = SMALL_SERVER
    Visitor(hub.url).sign_in("alice", xnat.state.user("alice").password)
    begin(hub, xnat)
    hub.plugin.wait_ready("alice")
    hub.plugin.stop("alice")
    assert fired(tmp_path, before, samples(hub)) == set()


def begin(hub: RunningHub, xnat) -> None:
    hub.plugin.ensure_user("alice")
    hub.plugin.start("alice", xnat.state.launch("alice", "P1"))


def begin_in_vain(hub: RunningHub, xnat) -> None:
    def try_it() -> None:
        begin(hub, xnat)
        hub.plugin.wait_ready("alice")

    with pytest.raises(HubError):
        try_it()


def settled(hub: RunningHub) -> Samples:
    """Return the series once the hub knows that all is well."""

    def well() -> Samples | None:
        requests.get(f"{hub.url}/hub/health", timeout=10)
        now = samples(hub)
        states = [now[f'xnathub_{what}_up{{job="xnathub"}}'] for what in ("xnat", "proxy")]
        return now if states == [1, 1] else None

    return wait_until(well, 90, "news that all is well")


def until(hub: RunningHub, name: str, value: float) -> Samples:
    def there() -> Samples | None:
        requests.get(f"{hub.url}/hub/health", timeout=30)
        now = samples(hub)
        return now if now[f'{name}{{job="xnathub"}}'] == value else None

    return wait_until(there, 90, f"{name} {value}")


def test_xnat_that_is_down_fires(hub: RunningHub, xnat, tmp_path):
    before = settled(hub)
    xnat.faults.set("/", faults.Status(503))
    try:
        begin_in_vain(hub, xnat)
        after = until(hub, "xnathub_xnat_up", 0)
    finally:
        xnat.faults.clear()
    assert fired(tmp_path, before, after) == {"XnathubXnatDown"}


def test_starts_that_fail_fire(hub: RunningHub, xnat, tmp_path):
    before = settled(hub)
    xnat.state.environment = Environment(command="false")
    for _ in range(4):
        begin_in_vain(hub, xnat)
    assert fired(tmp_path, before, samples(hub)) == {"XnathubStartsFail"}


def test_starts_at_the_limit_fire(hub: RunningHub, xnat, tmp_path):
    before = settled(hub)
    xnat.state.environment = Environment(command="sleep 600")
    begin(hub, xnat)
    xnat.state.launch("demo", "P1")
    hub.plugin.ensure_user("demo")
    for _ in range(4):
        assert hub.api("POST", "/users/demo/server", json={}).status_code == 429
    after = samples(hub)
    hub.plugin.stop("alice")
    assert fired(tmp_path, before, after) == {"XnathubStartLimit"}


def test_a_proxy_that_hangs_fires(hub: RunningHub, tmp_path):
    before = settled(hub)
    (proxy,) = (
        child
        for child in psutil.Process(hub.process.pid).children()
        if "configurable-http-proxy" in " ".join(child.cmdline())
    )
    # Asked directly, as a Prometheus does that is to notice this.
    public, hub.url = hub.url, f"{hub.hub_bind_url}/jupyterhub"
    proxy.send_signal(signal.SIGSTOP)
    try:
        after = until(hub, "xnathub_proxy_up", 0)
    finally:
        proxy.send_signal(signal.SIGCONT)
        hub.url = public
    assert fired(tmp_path, before, after) == {"XnathubProxyDown"}


def test_a_hub_that_is_held_up_fires(hub: RunningHub, tmp_path):
    settled(hub)
    # How much it gets done in between is the machine's affair.
    for _ in range(6):
        before = samples(hub)
        for _ in range(8):
            hub.process.send_signal(signal.SIGSTOP)
            time.sleep(1.5)
            hub.process.send_signal(signal.SIGCONT)
            time.sleep(0.06)
        if "XnathubSlow" in (found := fired(tmp_path, before, samples(hub))):
            break
    assert "XnathubSlow" in found


def test_a_hub_that_restarts_again_and_again_fires(hub: RunningHub, tmp_path):
    states = [settled(hub)]
    for _ in range(2):
        hub.stop()
        states.append({UP: 0})
        hub.start()
        states.append(settled(hub))
    assert fired(tmp_path, *states) == {"XnathubRestarts"}


MADE_UP: dict[str, Callable[[Samples], Samples]] = {
    "XnathubDown": lambda _now: {UP: 0},
    "XnathubDatabaseDisk": lambda now: {**now, 'xnathub_database_disk_free_ratio{job="xnathub"}': 0.05},
    # promtool's clock begins at zero.
    "XnathubCertificateEnds": lambda now: {
        **now, 'xnathub_certificate_end_seconds{job="xnathub",whose="xnat"}': 13 * 86400,
    },
    "XnathubNodesShort": lambda now: {
        **now,
        'jupyterhub_server_spawn_duration_seconds_count{job="xnathub",status="failure",reason="unschedulable"}': 1,
    },
}  # fmt: skip
"""What can't be brought about on this machine: the metrics as they would be."""


@pytest.mark.parametrize("name", MADE_UP)
def test_the_others_fire(hub: RunningHub, tmp_path, name):
    now = settled(hub)
    assert 0 < now['xnathub_database_disk_free_ratio{job="xnathub"}'] <= 1
    assert fired(tmp_path, now, MADE_UP[name](now)) == {name}
