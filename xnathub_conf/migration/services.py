"""The services of compose files, with what their variables come to: `extends`, `include` and `env_file` are followed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.compose import interpolate, is_file, read_env, read_text
from xnathub_conf.migration.tree import Found, Node, parse_tree
from xnathub_conf.site.yaml_source import MAX_BYTES

_MOST_FILES = 100
"""Of compose files and those that they name; more is no deployment's."""


_PARTS = frozenset({"services", "include", "networks", "volumes", "secrets", "configs"})
"""Keys of which a compose file has at least one."""


class Variables(Mapping[str, str]):
    """Variables for interpolation, which remember the lines of env files that were asked for."""

    def __init__(self, found: Mapping[str, Found]):
        self.found = found
        self.used: dict[Node, None] = {}

    def __getitem__(self, name: str) -> str:
        found = _as_text(name, self.found[name])
        if found.leaf:
            self.used[found.leaf] = None
        return found.value

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)


def _as_text(name: str, found: Found) -> Found:
    """Return a variable as it is. Raises MigrationError where the shell has other bytes in it than text."""
    if not found.leaf and any("\udc80" <= character <= "\udcff" for character in found.value):
        raise MigrationError(f"The shell's variable {name} is no UTF-8 text. Set it anew.")
    return found


@dataclass
class Service:
    """One service: the places where it is described, in the order in which later ones win, and its variables."""

    name: str
    nodes: list[Node] = field(default_factory=list)
    environment: dict[str, Found] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    """The variables that stand under `environment` itself, not in an env file that others may share."""

    @property
    def image(self) -> str:
        """The image that counts."""
        return next((node.get("image").text for node in reversed(self.nodes) if node.get("image").text), "")


def overridden(service: Service) -> Iterator[tuple[Node, Node]]:
    """Give each leaf that a later description of the service replaces, with what does: lists are joined, unless a tag says otherwise."""
    for index, node in enumerate(service.nodes):
        for later in service.nodes[index + 1 :]:
            for key in later.keys.keys() - {"environment", "env_file", "extends"}:
                yield from _replaced(node.get(key), later.get(key))


def _replaced(before: Node, after: Node) -> Iterator[tuple[Node, Node]]:
    if not before.line:
        return
    plain = isinstance(before.value, str) or isinstance(after.value, str)
    if plain or after.tag in {"!reset", "!override"} or after.path[-1] in {"command", "entrypoint"}:
        yield from ((leaf, after) for leaf in before.leaves())
    for key, node in after.keys.items():
        if key in before.keys:
            yield from _replaced(before.get(key), node)


@dataclass
class Compose:
    """What several compose files say together."""

    variables: Mapping[str, Found]
    trees: list[Node] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    env_files: dict[str, list[tuple[Node, Found | None]]] = field(default_factory=dict)
    readers: dict[str, set[str]] = field(default_factory=dict)
    """The services that read an env file."""
    uses: dict[Node, list[Node]] = field(default_factory=dict)
    """For a line of an env file, the values that it is put into."""
    replaced: list[tuple[Node, Found]] = field(default_factory=list)
    """Variables that are set again, and by what."""
    missing: dict[Node, str] = field(default_factory=dict)
    """Values that name a file which is not there."""
    absent: dict[Node, str] = field(default_factory=dict)
    """The same of files that need not be there."""
    length: int = 0
    """How many characters the values hold, with the variables in them."""

    def read(self, path: Path, text: str | None = None, *, whole: bool = True) -> None:
        """Read a compose file and those that it includes; its services count if it is `whole`. Raises MigrationError."""
        if str(path) in self.texts:
            return
        if len(self.texts) >= _MOST_FILES:
            raise MigrationError(f"{path}: too many files name each other. Look at include and extends.")
        text = read_text(path) if text is None else text
        tree = parse_tree(text, str(path))
        self.texts[str(path)] = text
        self._interpolate(tree)
        for entry in tree.get("include").items:
            paths = [entry, *([entry.get("path")] if entry.keys else []), *entry.get("path").items]
            for node in paths:
                if node.text:
                    self._other(node, path.parent / node.text)
        self.trees.append(tree)
        for name, node in tree.get("services").keys.items() if whole else ():
            if node.value is not None and not isinstance(node.value, dict):
                raise MigrationError(f"{node.origin}: services.{name} is no service.")
            self._add(self.services.setdefault(name, Service(name)), node, path, 0)

    def _other(self, node: Node, path: Path, *, whole: bool = True) -> bool:
        if not is_file(path):
            self.missing[node] = f"There is no file {path}, so what it says is not in this list."
            return False
        text = read_text(path)
        if not _PARTS & set(parse_tree(text, str(path)).keys):
            self.missing[node] = f"{path} is no compose file, so what it says is not in this list."
            return False
        self.read(path, text, whole=whole)
        return True

    def _interpolate(self, tree: Node) -> None:
        for leaf in tree.leaves():
            if not leaf.text:
                continue
            variables = Variables(self.variables)
            where = f"{leaf.origin}: {leaf.name}"
            try:
                leaf.value = interpolate(leaf.text, variables, where)
            except MigrationError:
                if leaf.path[:1] == ("services",):
                    raise
            self.length += len(leaf.text)
            if self.length > 4 * MAX_BYTES:
                raise MigrationError(f"{where}: what is put in there grows too large.")
            for used in variables.used:
                self.uses.setdefault(used, []).append(leaf)

    def _add(self, service: Service, node: Node, path: Path, depth: int) -> None:
        self._extended(service, node, path, depth)
        service.nodes.append(node)
        files = node.get("env_file")
        for entry in files.items or [files]:
            name = entry.text or entry.get("path").text
            full = path.parent / name
            if not name and entry.value:
                raise MigrationError(f"{entry.origin}: {entry.name} names no file.")
            if name and is_file(full):
                self._env_file(service, full)
            elif name and entry.get("required").text == "false":
                self.absent[entry] = f"There is no file {full}, and it need not be there."
            elif name:
                why = f"There is no file {full} here, so its variables are not in this list."
                self.missing |= dict.fromkeys(entry.leaves(), why)
        self._environment(service, node.get("environment"))

    def _extended(self, service: Service, node: Node, path: Path, depth: int) -> None:
        extends = node.get("extends")
        name = extends.text or extends.get("service").text
        if not name or depth > 9:
            return
        other = path
        if file := extends.get("file").text:
            other = path.parent / file
            if not self._other(extends.get("file"), other, whole=False):
                return
        tree = next((each for each in self.trees if each.file == str(other)), None)
        base = tree.get("services", name) if tree else extends
        if isinstance(base.value, dict):
            self._add(service, base, other, depth + 1)
        else:
            self.missing[extends] = f"There is no service {name}, so what it says is not in this list."

    def _env_file(self, service: Service, path: Path) -> None:
        file = str(path)
        self.readers.setdefault(file, set()).add(service.name)
        for leaf, found in self.read_env_file(path):
            if found:
                self._set(service, str(leaf.path[0]), found)

    def read_env_file(self, path: Path) -> list[tuple[Node, Found | None]]:
        """Read an env file once, however often it is named. Raises MigrationError."""
        file = str(path)
        if file not in self.env_files:
            variables = Variables(self.variables)
            self.env_files[file] = lines = read_env(read_text(path), file, variables)
            for used in variables.used:
                self.uses.setdefault(used, []).extend(leaf for leaf, _ in lines)
        return self.env_files[file]

    def _set(self, service: Service, name: str, found: Found) -> None:
        before = service.environment.get(name)
        if before and before.leaf and before.leaf is not found.leaf:
            self.replaced.append((before.leaf, found))
        service.environment[name] = found

    def _environment(self, service: Service, node: Node) -> None:
        entries = list(node.keys.items())
        for each in node.items:
            name, equals, value = each.text.partition("=")
            if not each.text:
                raise MigrationError(f"{each.origin}: {each.name} is no NAME=value.")
            entries.append((name, Node(each.file, each.path, each.line, value if equals else None)))
        if isinstance(node.value, str) or any(each.keys or each.items for _, each in entries):
            raise MigrationError(f"{node.origin}: {node.name} is neither a map nor a list of NAME=value.")
        for (name, each), leaf in zip(entries, node.items or [each for _, each in entries], strict=True):
            service.own.add(name)
            if each.value is not None:
                self._set(service, name, Found(each.text, leaf.origin, leaf))
            elif name in self.variables:
                outside = _as_text(name, self.variables[name])
                if outside.leaf:
                    self.uses.setdefault(outside.leaf, []).append(leaf)
                self._set(service, name, Found(outside.value, leaf.origin, leaf))
            elif (before := service.environment.pop(name, None)) and before.leaf:
                self.replaced.append((before.leaf, Found("", leaf.origin, leaf)))
