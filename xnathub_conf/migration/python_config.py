"""A jupyterhub_config.py, read and never run: each setting and each other statement with its line."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.tree import Node

UNKNOWN = object()
"""The value of a setting that only running the file would tell."""

_KINDS: tuple[tuple[str, Literal["swarm", "docker", "kubernetes"]], ...] = (
    ("swarm", "swarm"),
    ("kube", "kubernetes"),
    ("docker", "docker"),
)
"""What the name of a spawner's class, or of its entry point, holds for each orchestrator."""


@dataclass
class Setting:
    """One statement that sets something on `c`: the setting's name, its value where it is plain, and its place."""

    trait: str
    value: Any
    leaf: Node
    variable: str | None = None
    """The environment variable that its value comes from."""
    conditional: bool = False
    """Whether it stands below an `if`, in a loop or in a function."""


@dataclass
class PythonConfig:
    """What one file says."""

    file: str
    settings: list[Setting] = field(default_factory=list)
    others: list[Node] = field(default_factory=list)
    """Statements that set nothing on `c`."""

    @property
    def kind(self) -> Literal["swarm", "docker", "kubernetes"]:
        """The orchestrator whose spawner it names."""
        for setting in reversed(self.settings):
            named = setting.value if setting.trait == "JupyterHub.spawner_class" else None
            # The module dockerspawner has a class for swarms too.
            last = named.rpartition(".")[2].lower() if isinstance(named, str) else ""
            for word, kind in _KINDS:
                if word in last:
                    return kind
        classes = {setting.trait.partition(".")[0] for setting in self.settings}
        if "KubeSpawner" in classes:
            return "kubernetes"
        return "docker" if "DockerSpawner" in classes and "SwarmSpawner" not in classes else "swarm"


def read_python(text: str, file: str) -> PythonConfig:
    """Parse a configuration file. Raises MigrationError where it is not Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise MigrationError(f"{file}{line} is not Python.") from None
    config = PythonConfig(file)
    constants: dict[str, Any] = {}
    for index, statement in enumerate(tree.body):
        _read(config, statement, (index,), constants, conditional=False)
    return config


def _read(
    config: PythonConfig,
    statement: ast.stmt,
    path: tuple[int | str, ...],
    constants: dict[str, Any],
    *,
    conditional: bool,
) -> None:
    inner = list(_settings_below(statement))
    if trait := _trait(statement):
        leaf = Node(config.file, (*path, trait), statement.lineno, "")
        value = _value(statement, constants)
        variable = _variable(getattr(statement, "value", None))
        config.settings.append(Setting(trait, value, leaf, variable, conditional))
    elif inner and isinstance(statement, ast.If | ast.For | ast.With | ast.Try | ast.FunctionDef):
        for index, each in enumerate(_blocks(statement)):
            _read(config, each, (*path, index), constants, conditional=True)
    else:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            constants[statement.targets[0].id] = _literal(statement.value, constants)
        config.others.append(Node(config.file, (*path, _called(statement)), statement.lineno, ""))


def _blocks(statement: ast.stmt) -> Iterator[ast.stmt]:
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(statement, name, [])
    for handler in getattr(statement, "handlers", []):
        yield from handler.body


def _settings_below(statement: ast.stmt) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(statement) if isinstance(node, ast.stmt) and _trait(node))


def _trait(statement: ast.stmt) -> str | None:
    """Return the setting that a statement sets, as in c.Class.name = ... or c.Class.name.update(...)."""
    node: ast.expr | None = None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        node = statement.targets[0]
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign):
        node = statement.target
    elif isinstance(statement, ast.Expr) and isinstance(call := statement.value, ast.Call):
        node = call.func.value if isinstance(call.func, ast.Attribute) else None
    while isinstance(node, ast.Subscript):
        node = node.value
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id == "c"
    ):
        return f"{node.value.attr}.{node.attr}"
    return None


def _value(statement: ast.stmt, constants: dict[str, Any]) -> Any:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute):
        return _literal(statement.value, constants)
    if isinstance(statement, ast.Expr) and isinstance(call := statement.value, ast.Call):
        adds = isinstance(call.func, ast.Attribute) and call.func.attr == "update" and len(call.args) == 1
        return _literal(call.args[0], constants) if adds else UNKNOWN
    return UNKNOWN


def _literal(node: ast.expr, constants: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return constants.get(node.id, node.id if node.id.endswith(("Spawner", "Authenticator")) else UNKNOWN)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN


def _variable(node: ast.expr | None) -> str | None:
    """Return the name in os.environ['X'], os.environ.get('X', ...), os.getenv('X') and the like in int(...)."""
    names = []
    for each in ast.walk(node) if node else ():
        key: ast.expr | None = None
        if isinstance(each, ast.Subscript) and ast.unparse(each.value) == "os.environ":
            key = each.slice
        elif (
            isinstance(each, ast.Call)
            and ast.unparse(each.func) in {"os.environ.get", "os.getenv"}
            and each.args
        ):
            key = each.args[0]
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            names.append(key.value)
    return names[0] if len(set(names)) == 1 else None


def _called(statement: ast.stmt) -> str:
    """Name a statement without a value of its own, since that may be a secret."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return "import"
    if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        return next((each.id for each in ast.walk(target) if isinstance(each, ast.Name)), "assignment")
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return ast.unparse(statement.value.func)[:40]
    return type(statement).__name__.lower()
