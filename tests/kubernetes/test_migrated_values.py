"""`migrate` merges values files as Helm itself does."""

import json
from pathlib import Path

import pytest
import yaml

from tests.kubernetes.testbed import Cluster
from xnathub_conf.migration.chart import read_chart
from xnathub_conf.migration.reference import CHART_VALUES
from xnathub_conf.migration.tree import parse_tree

SHOWS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: values}
data: {values: {{ toJson .Values | quote }}}
"""
FILES = [
    ["jupyterhub: {hub: {baseUrl: /a, db: {type: sqlite-pvc}}}", "jupyterhub: {hub: {baseUrl: /b}, singleuser: {uid: 5}}"],
    ["jupyterhub: {hub: {db: null, concurrentSpawnLimit: null}}"],
    ["jupyterhub: {singleuser: {storage: {static: null}}}", "jupyterhub: {singleuser: {storage: {static: {pvcName: b}}}}"],
    ["jupyterhub: {singleuser: {extraTolerations: [{key: a}, {key: b}]}}", "jupyterhub: {singleuser: {extraTolerations: [{key: c}]}}"],
    ["jupyterhub: {hub: {config: {A: {x: 1}}}}", "jupyterhub: {hub: {config: {A: none}}}", "jupyterhub: {hub: {config: {A: {b: 2}}}}"],
    ["jupyterhub: {hub: {config: {A: [1]}}}", "jupyterhub: {hub: {config: {A: {}}}}"],
    ["jupyterhub: {hub: {config: {A: {x: {}, n1: 'no', z: 0.5, t: true, s: '07'}}}}", "jupyterhub: {hub: {config: {A: {x: {q: [null, {r: null}]}}}}}"],
    ["x: &x {a: 1}\njupyterhub: {hub: {config: {A: {<<: *x, b: 2}, B: *x}}}\npostgresql: {enabled: false}\n"],
]  # fmt: skip


def bare(data):
    """Return values without what is null or empty, which stand for the same."""
    if isinstance(data, dict):
        return {key: kept for key, value in data.items() if (kept := bare(value)) not in (None, {})}
    return [bare(each) for each in data] if isinstance(data, list) else data


@pytest.mark.parametrize("files", FILES)
def test_values_files_are_merged_as_helm_does(cluster: Cluster, tmp_path: Path, files: list[str]):
    (tmp_path / "chart/templates").mkdir(parents=True)
    (tmp_path / "chart/Chart.yaml").write_text("apiVersion: v2\nname: x\nversion: 1.0.0\n")
    (tmp_path / "chart/values.yaml").write_text(CHART_VALUES)
    (tmp_path / "chart/templates/values.yaml").write_text(SHOWS)
    arguments = []
    for number, text in enumerate(files):
        (tmp_path / f"{number}.yaml").write_text(text)
        arguments += ["--values", str(tmp_path / f"{number}.yaml")]
    shown = yaml.safe_load(cluster.helm("template", "x", str(tmp_path / "chart"), *arguments))
    merged = read_chart([parse_tree(text, f"{number}.yaml") for number, text in enumerate(files)])
    assert bare(merged.top.typed()) == bare(json.loads(shown["data"]["values"]))
