"""How `xnathub doctor` runs its checks, and what it makes of what they find."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from types import SimpleNamespace

import pytest
import yaml

from tests.unit.helpers import MINIMAL, ROOT, loaded, site_text
from xnathub_conf.cli import main
from xnathub_conf.cli.doctor import _Table
from xnathub_conf.doctor import examination as examination_module
from xnathub_conf.doctor.examination import Check, Examination, Finding, examine, failed, ok, warning
from xnathub_conf.doctor.hub import NEEDED_SCOPES
from xnathub_conf.doctor.images import exact_images
from xnathub_conf.doctor.kubernetes_reading import _tolerates, amount, has_labels, hub_rights
from xnathub_conf.doctor.placement import holds, parsed_constraint
from xnathub_conf.site.types import Toleration
from xnathub_conf.values.secret import SecretError
from xnathub_conf.web.hub_proof import is_challenge, new_challenge, proof, proves


def examination(text: str = MINIMAL, **environment: str) -> Examination:
    return Examination(loaded(text), environment)


def run(checks, patient=None, **options) -> dict[str, Finding]:
    async def all_of_them():
        return {name: each async for name, each in examine(patient or examination(), checks, **options)}

    return asyncio.run(all_of_them())


def check(name, finding, *needs):
    async def look():
        if isinstance(finding, Exception):
            raise finding
        return finding

    return Check(name, look, needs)


def test_what_needs_a_failed_one_is_skipped_and_the_rest_is_not():
    found = run(
        [
            check("a.one", failed("Broken.", "Mend it.")),
            check("a.two", ok("Fine."), "a.one"),
            check("a.three", ok("Fine."), "a.two"),
            check("b.one", warning("So so.", "Look.")),
            check("b.two", ok("Fine."), "b.one"),
            check("c.one", ValueError("oops")),
            check("c.two", ok("Fine.")),
        ]
    )
    assert [each.status for each in found.values()] == [
        "failed",
        "skipped",
        "skipped",
        "warning",
        "ok",
        "failed",
        "ok",
    ]
    assert found["a.two"].seen == "Skipped: a.one did not pass."
    assert "ValueError: oops" in found["c.one"].seen
    assert "--skip c.one" in found["c.one"].do


def test_what_is_left_out_takes_with_it_what_needs_it():
    checks = [check("a.one", ok("")), check("a.two", ok(""), "a.one"), check("b.one", ok(""))]
    assert [each.status for each in run(checks, leave_out=["a.one"]).values()] == ["skipped", "skipped", "ok"]
    assert [each.status for each in run(checks, leave_out=["a"]).values()] == ["skipped", "skipped", "ok"]


def test_a_check_that_never_ends(monkeypatch):
    monkeypatch.setattr(examination_module, "CHECK_SECONDS", 0.05)

    async def hang():
        await asyncio.sleep(60)

    found = run([Check("a", hang), check("b", ok("Fine."))])
    assert [each.status for each in found.values()] == ["failed", "ok"]


def test_secrets_that_were_read_are_never_shown():
    patient = examination(site_text(hub__api_token={"env": "T"}), T="s3cr3t" * 6)
    assert patient.read(patient.site.hub.api_token) == "s3cr3t" * 6
    (finding,) = run([check("a", failed(f"It is {'s3cr3t' * 6}.", f"Use {'s3cr3t' * 6}."))], patient).values()
    assert (finding.seen, finding.do) == ("It is ********.", "Use ********.")
    assert "s3cr3t" not in repr(patient)


@pytest.mark.parametrize(
    ("environment", "status"), [({}, "skipped"), ({"XNATHUB_SITE": "/etc/xnathub/site.yaml"}, "failed")]
)
def test_a_secret_that_is_missing_is_a_fault_only_where_the_hub_runs(environment, status):
    patient = examination(**environment)
    with pytest.raises(SecretError) as missing:
        patient.read(patient.site.hub.api_token)
    finding = patient.unreadable(missing.value, ("hub", "api_token"))
    assert finding.status == status
    assert finding.do


def test_what_is_not_valid_or_no_check(tmp_path, capsys, monkeypatch):
    (tmp_path / "bad.yaml").write_text("version: 2\n")
    (tmp_path / "site.yaml").write_text(MINIMAL)
    assert main(["doctor", str(tmp_path / "bad.yaml")]) == 1
    assert "bad.yaml:1:10: error: version" in capsys.readouterr().err
    assert main(["doctor", str(tmp_path / "site.yaml"), "--skip", "xnat.anwsers"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no check xnat.anwsers. There are: xnat.answers, " in err


def test_the_table_names_key_and_line(capsys):
    table = _Table(loaded(MINIMAL), ["a.one", "a.two", f"files.{'/long' * 20}"])
    table.begin("a.one")
    table.add("a.one", failed("Broken.", "Mend it.", ("hub", "api_token")))
    table.add("a.two", failed("Broken.", "Mend it.", ("orchestrator", "swarm", "network_name")))
    table.add(f"files.{'/long' * 20}", ok("Fine."))
    assert table.end() == 1
    indent = " " * 34
    assert capsys.readouterr().out.splitlines() == [
        f"failed   {'a.one':24} Broken.",
        f"{indent}-> Mend it. [site.yaml:7 hub.api_token]",
        f"failed   {'a.two':24} Broken.",
        f"{indent}-> Mend it. [site.yaml:12 orchestrator.swarm.network_name]",
        f"ok       files.{'/long' * 20}",
        f"{indent}Fine.",
        "1 ok, 2 failed",
    ]


def test_the_exit_code_of_warnings_is_0(capsys):
    table = _Table(loaded(MINIMAL), ["a"])
    table.add("a", warning("So so.", "Look."))
    assert table.end() == 0
    assert capsys.readouterr().out.endswith("1 warning\n")


def test_images_that_are_named_in_full():
    text = site_text(servers__allowed_images=["a/b:1", "a/*", "a/c", f"a/d@sha256:{'0' * 64}", "a/e:1.*"])
    assert exact_images(examination(text)) == (
        ["a/b:1", f"a/d@sha256:{'0' * 64}"],
        ["a/*", "a/c", "a/e:1.*"],
    )


NODE = {
    "ID": "id1",
    "Spec": {"Role": "manager", "Labels": {"type": "gpu"}},
    "Description": {
        "Hostname": "One",
        "Platform": {"OS": "linux", "Architecture": "x86_64"},
        "Engine": {"Labels": {"disk": "ssd"}},
    },
}


@pytest.mark.parametrize(
    ("constraint", "fits"),
    [
        ("node.labels.type==gpu", True),
        ("node.labels.type != gpu", False),
        ("node.labels.other!=x", True),
        ("node.role==Manager", True),
        ("node.hostname==one", True),
        ("node.id!=id1", False),
        ("node.platform.os==linux", True),
        ("engine.labels.disk==ssd", True),
        ("engine.labels.disk==hdd", False),
        ("node.colour!=red", False),
    ],
)
def test_constraints_of_a_swarm(constraint, fits):
    assert holds(parsed_constraint(constraint), NODE) is fits


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", "0.5"), ("2Gi", 2**31), ("1k", 1000), ("3", 3), ("0", 0), ("1.5", "1.5"), ("1M", 10**6)],
)
def test_amounts_of_kubernetes(text, value):
    assert amount(text) == Decimal(value)


def test_labels_of_a_node():
    labels = {"zone": "a", "gpu": ""}
    expressions = [
        {"key": "zone", "operator": "In", "values": ["a", "b"]},
        {"key": "zone", "operator": "NotIn", "values": ["c"]},
        {"key": "gpu", "operator": "Exists"},
        {"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"},
    ]
    assert has_labels(labels, {"zone": "a"}, expressions)
    assert not has_labels(labels, {"zone": "b"}, [])
    for each in expressions:
        other = {"In": "NotIn", "NotIn": "In", "Exists": "DoesNotExist", "DoesNotExist": "Exists"}[
            each["operator"]
        ]
        assert not has_labels(labels, {}, [{**each, "operator": other}])


@pytest.mark.parametrize(
    ("toleration", "tolerates"),
    [
        (Toleration("k", "Equal", "v", None), True),
        (Toleration("k", "Equal", "v", "NoSchedule"), True),
        (Toleration("k", "Equal", "v", "NoExecute"), False),
        (Toleration("k", "Equal", "w", None), False),
        (Toleration("k", "Exists", None, None), True),
        (Toleration(None, "Exists", None, None), True),
        (Toleration("j", "Exists", None, None), False),
    ],
)
def test_tolerations(toleration, tolerates):
    assert _tolerates(toleration, SimpleNamespace(key="k", value="v", effect="NoSchedule")) is tolerates


def test_the_rights_looked_for_are_those_that_the_chart_grants():
    chart = (ROOT / "xnat-jupyterhub-chart" / "templates" / "hub.yaml").read_text()
    rules = chart.partition("kind: Role\n")[2].partition("rules:")[2].partition("---")[0]
    granted = [
        (group, resource, verb)
        for rule in yaml.safe_load(rules)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    assert list(hub_rights()) == granted
    assert ("", "pods", "create") in granted


def test_the_scopes_looked_for_are_the_default():
    assert tuple(NEEDED_SCOPES) == loaded(MINIMAL).site.hub.api_scopes


def test_a_proof_needs_the_token():
    challenge = new_challenge()
    assert is_challenge(challenge)
    assert challenge != new_challenge()
    assert proves("a" * 32, challenge, proof("a" * 32, challenge))
    assert not proves("b" * 32, challenge, proof("a" * 32, challenge))
    assert not proves("a" * 32, new_challenge(), proof("a" * 32, challenge))
    assert not proves("a" * 32, challenge, "é")
