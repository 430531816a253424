"""The Python that stands in Helm values: what the old hub ran after it had read the other values."""

from collections.abc import Iterator, Mapping

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.chart import ChartValues
from xnathub_conf.migration.ledger import Ledger, at
from xnathub_conf.migration.python_config import PythonConfig, read_part
from xnathub_conf.migration.python_values import Values
from xnathub_conf.migration.tree import Node

_FOLDER = "jupyterhub_config.d"
"""The folder whose files the hub reads as well."""


def read_code(chart: ChartValues, environment: Mapping[str, str]) -> list[PythonConfig]:
    """Return each piece of Python in the values, in the order in which the hub ran them; `environment` are the hub's variables.

    What is said of each piece as a whole is kept in `chart.code`.
    """
    values = Values(environment)
    configs = []
    for node in _pieces(chart):
        try:
            config = read_part(node.text, node.file, node.text_line if node.line else 0, values)
        except MigrationError as error:
            chart.code[node] = f"{error} Look for keys of site.yaml for what it sets."
        else:
            chart.code[node] = ""
            configs.append(config)
    return configs


def report_code(to: Ledger, chart: ChartValues) -> None:
    """Report of each piece of Python that its lines are in the report, or why they are not."""
    for node, problem in chart.code.items():
        if problem:
            to.leave(node.name, at(node), problem)
        elif node.line:
            to.ignore(node.name, at(node), "Each of its lines is in this list by itself.")


def _pieces(chart: ChartValues) -> Iterator[Node]:
    files = [each for each in chart.hub.get("extraFiles").keys.values() if _is_read(each)]
    for each in sorted(files, key=lambda each: each.get("mountPath").text.rpartition("/")[2]):
        yield each.get("stringData")
    snippets = chart.hub.get("extraConfig")
    for _, node in sorted(snippets.keys.items()) or [("", snippets)]:
        if node.text.strip():
            yield node


def _is_read(file: Node) -> bool:
    path = file.get("mountPath").text
    return (
        path.endswith(".py")
        and path.split("/")[-2:-1] == [_FOLDER]
        and bool(file.get("stringData").text.strip())
    )
