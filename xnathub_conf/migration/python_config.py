"""A jupyterhub_config.py, read and never run: each setting and each other statement with its line."""

import ast
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.python_targets import Change, Place, changes, names_in, place
from xnathub_conf.migration.python_values import UNKNOWN, Values, added, holds, is_known, variables_in
from xnathub_conf.migration.tree import Node
from xnathub_conf.site.problems import KeyPath

_KINDS: tuple[tuple[str, Literal["swarm", "docker", "kubernetes"]], ...] = (
    ("swarm", "swarm"),
    ("kube", "kubernetes"),
    ("docker", "docker"),
    ("systemuser", "docker"),
)
"""What the name of a spawner's class, or of its entry point, holds for each orchestrator."""


@dataclass
class Setting:
    """One statement that sets something on `c`: the setting's name, its value where it is plain, and its place."""

    trait: str
    value: Any
    leaf: Node
    variables: tuple[str, ...] = ()
    """The environment's variables that its value comes from."""
    assumed: tuple[str, ...] = ()
    """Those of them that nobody sets here, and that have a default."""
    conditional: bool = False
    """Whether it stands below an `if`, in a loop or in a function."""
    skipped: bool = False
    """Whether it stands where the hub's variables never lead."""
    under: frozenset[str] = frozenset()
    """The names and texts in the conditions that it stands under."""
    adds: bool = False
    """Whether it adds to what was set before, as `update` does, or changes it in a way that only running it would tell."""
    holds_earlier: bool = False
    """Whether its value is the sum of what was set before and what it adds."""
    in_use: bool = True
    """Whether the class that it is a setting of is one that the old hub used."""
    replaced_by: "Setting | None" = None
    """The setting that counted instead."""
    part_of: "Setting | None" = None
    """The later setting that adds to this one, and holds it."""

    @property
    def counts(self) -> bool:
        """Whether the old hub had it, if its condition held."""
        return self.in_use and not self.skipped and self.replaced_by is None


@dataclass(frozen=True)
class Other:
    """A statement that sets nothing on `c`, and whether it only gives a name to a plain value."""

    leaf: Node
    names_a_value: bool
    digest: str = ""
    """Of its text, whatever its spaces: two statements that are the same have the same."""


@dataclass
class PythonConfig:
    """What one file says."""

    file: str
    settings: list[Setting] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    """Statements that set nothing on `c`."""
    reads: frozenset[str] = frozenset()
    """The environment's variables that it reads anywhere."""

    @property
    def is_whole(self) -> bool:
        """Whether it is the hub's configuration, and not a part of one that is elsewhere."""
        named = Path(self.file).name == "jupyterhub_config.py"
        return named or any(setting.trait == "JupyterHub.spawner_class" for setting in self.settings)

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


def read_python(text: str, file: str, environment: Mapping[str, str]) -> PythonConfig:
    """Parse a configuration file; `environment` are the hub's variables as far as they are known. Raises MigrationError where it is not Python."""
    return read_part(text, file, 1, Values(environment))


def read_part(text: str, file: str, first: int, values: Values) -> PythonConfig:
    """Parse Python that begins at the line `first` of a file; `values` are what was set before it. Raises MigrationError where it is not Python."""
    try:
        with warnings.catch_warnings():
            # Of escapes that Python does not know, with a part of the file.
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f":{error.lineno + first - 1}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise MigrationError(f"{file}{line} is not Python.") from None
    ast.increment_lineno(tree, first - 1)
    names = names_in(tree)
    reader = _Reader(
        PythonConfig(file, reads=frozenset(variables_in(tree))),
        values,
        names,
        _holding(tree, names),
        first,
        text.splitlines(),
    )
    for index, statement in enumerate(tree.body):
        reader.read(statement, (index,))
    for setting in reader.config.settings if values.changed else ():
        # It is the list itself that was changed further down.
        if holds(setting.value, values.changed):
            setting.value, setting.holds_earlier = UNKNOWN, False
    return reader.config


@dataclass
class _Reader:
    config: PythonConfig
    values: Values
    names: Mapping[str, Place]
    """Other names for `c` and its parts."""
    holding: set[ast.AST]
    """The statements that are a setting, or have one below them."""
    first: int
    lines: list[str]
    """The text from that line of the file on."""
    under: frozenset[str] = frozenset()

    def read(
        self, statement: ast.stmt, path: KeyPath, *, conditional: bool = False, skipped: bool = False
    ) -> None:
        file, line = self.config.file, statement.lineno
        if found := changes(statement, self.names):
            settings = [
                self.setting(each, statement, path, conditional=conditional, skipped=skipped)
                for each in found
            ]
            self.config.settings += settings
            if not skipped:
                self.values.forget(statement)
            if isinstance(statement, ast.Assign) and not skipped and not conditional:
                self.keep(statement)
        elif isinstance(statement, _BLOCKS) and statement in self.holding:
            self.block(statement, path, conditional=conditional, skipped=skipped)
        else:
            known = False
            if not skipped:
                self.values.forget(statement)
            if isinstance(statement, ast.Assign) and not skipped and not conditional:
                named = all(isinstance(target, ast.Name) for target in statement.targets)
                known = named and (self.keep(statement) or place(statement.value, self.names) is not None)
            leaf = Node(file, (*path, _called(statement)), line, "")
            self.config.others.append(Other(leaf, known, self.digest(statement)))

    def keep(self, statement: ast.Assign) -> bool:
        """Keep what names stand for from here on; return whether that is known."""
        value, used, assumed = self.evaluated(statement.value, in_parts=True)
        for target in statement.targets:
            if isinstance(target, ast.Name):
                self.values.keep(target.id, value, used, assumed)
        return value is not UNKNOWN

    def setting(
        self, change: Change, statement: ast.stmt, path: KeyPath, *, conditional: bool, skipped: bool
    ) -> Setting:
        """Return a setting that a statement makes or changes, with what it comes to."""
        trait, in_parts = change.trait, _in_parts(change.trait)
        value, used, assumed = self.evaluated(change.value, in_parts=in_parts)
        adds = change.how != "set"
        # Variables of servers are told one by one, of all else the whole.
        whole = adds and not trait.endswith("Spawner.environment")
        if not conditional and not skipped:
            before = self.values.settings.get(trait)
            if change.how == "default" and isinstance(before, dict) and isinstance(value, dict):
                value = {key: each for key, each in value.items() if key not in before}
            total = added(before, value) if change.how in {"add", "default"} else value
            self.values.settings[trait] = total
            value = total if whole else value
        variables = tuple(dict.fromkeys([*variables_in(statement), *used]))
        leaf = Node(self.config.file, (*path, trait), statement.lineno, "")
        return Setting(
            trait, value, leaf, variables, assumed, conditional, skipped, self.under, adds, whole and value is not UNKNOWN
        )  # fmt: skip

    def block(self, statement: ast.stmt, path: KeyPath, *, conditional: bool, skipped: bool) -> None:
        """Read what stands under a condition; where the hub's variables decide it, one of the two branches holds."""
        above = self.under
        self.values.forget(statement)
        index = 0
        # A long row of elif is as many blocks in one another, which no call for each would stand.
        rest: ast.stmt | None = statement
        while rest:
            statement, rest, holds = rest, None, None
            if isinstance(statement, ast.If):
                self.under |= _words(statement.test)
                if not conditional and not skipped:
                    value, _, assumed = self.evaluated(statement.test)
                    holds = None if value is UNKNOWN or assumed else bool(value)
                match statement.orelse:
                    case [ast.If() as other] if other in self.holding:
                        rest = other
            conditional = conditional or holds is None
            for each, first in _parts(statement):
                if each is not rest:
                    left_out = holds is not None and first is not holds
                    self.read(each, (*path, index), conditional=conditional, skipped=skipped or left_out)
                    index += 1
            skipped = skipped or holds is True
        self.under = above

    def digest(self, statement: ast.stmt) -> str:
        last = (statement.end_lineno or statement.lineno) - self.first + 1
        words = " ".join(self.lines[statement.lineno - self.first : last]).split()
        return hashlib.sha256(" ".join(words).encode("utf-8", "replace")).hexdigest()[:12]

    def evaluated(
        self, node: ast.expr | None, *, in_parts: bool = False
    ) -> tuple[object, tuple[str, ...], tuple[str, ...]]:
        """Return a value, the variables that it comes from, and those of them whose default it is; known in parts if `in_parts`."""
        self.values.used, self.values.assumed = {}, {}
        value = self.values.value(node) if node else UNKNOWN
        used, assumed = tuple(self.values.used), tuple(self.values.assumed)
        if not (in_parts or is_known(value)):
            value = UNKNOWN
        return value, used, assumed


_OF_CONTAINERS = (
    "extra_host_config",
    "extra_create_kwargs",
    "extra_container_spec",
    "extra_resources_spec",
    "extra_task_spec",
)


def _in_parts(trait: str) -> bool:
    """Return whether of a setting's value what is known is of use, beside what is not."""
    return trait == "JupyterHub.services" or trait.endswith(("Spawner.environment", *_OF_CONTAINERS))


def _words(test: ast.expr) -> frozenset[str]:
    """Return the names and texts in a condition."""
    named = {each.id for each in ast.walk(test) if isinstance(each, ast.Name)}
    return frozenset(
        named
        | {
            each.value
            for each in ast.walk(test)
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        }
    )


_BLOCKS = (ast.If, ast.For, ast.With, ast.Try, ast.FunctionDef)


def _parts(statement: ast.stmt) -> Iterator[tuple[ast.stmt, bool]]:
    """Return the statements below one, and whether each is in its first block."""
    for name in ("body", "orelse", "finalbody"):
        for each in getattr(statement, name, []):
            yield each, name == "body"
    for handler in getattr(statement, "handlers", []):
        for each in handler.body:
            yield each, False


def _holding(tree: ast.Module, names: Mapping[str, Place]) -> set[ast.AST]:
    """Return the statements that are a setting or have one below them."""
    above = {below: node for node in ast.walk(tree) for below in ast.iter_child_nodes(node)}
    holding: set[ast.AST] = set()
    for each in above:
        node: ast.AST | None = each if isinstance(each, ast.stmt) and changes(each, names) else None
        while node and node not in holding:
            holding.add(node)
            node = above.get(node)
    return holding


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
        names = []
        called = statement.value.func
        while isinstance(called, ast.Attribute):
            names.append(called.attr)
            called = called.value
        return (
            ".".join([*([called.id] if isinstance(called, ast.Name) else []), *reversed(names)])[:40]
            or "call"
        )
    return type(statement).__name__.lower()
