"""The services of compose files, with what their variables come to: `extends`, `include` and `env_file` are followed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xnathub_conf.migration import MigrationError
from xnathub_conf.migration.compose import interpolate, is_file, read_env, read_raw, read_text
from xnathub_conf.migration.tree import Found, Node, parse_tree
from xnathub_conf.site.yaml_source import MAX_BYTES

_MOST_FILES = 100
"""Of compose files and those that they name; more is no deployment's."""


_PARTS = frozenset({"services", "include", "networks", "volumes", "secrets", "configs"})
"""Keys of which a compose file has at least one."""


_REPLACING = frozenset({"!reset", "!override"})
_OCTAL = re.compile(r"0[0-7]*[1-7][0-7]*")


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
    env_files: list[tuple[Node, Path, Mapping[str, Found]]] = field(default_factory=list)
    """Its env files: the value that names each, the folder that it is in, and what may be put into it."""
    environments: list[tuple[Node, Mapping[str, Found]]] = field(default_factory=list)
    """The values of `environment`, and where a name without a value gets one."""
    own: set[str] = field(default_factory=set)
    """The variables that stand under `environment` itself, not in an env file that others may share."""

    @property
    def image(self) -> str:
        """The image that counts."""
        return next((node.get("image").text for node in reversed(self.nodes) if node.get("image").text), "")


def overridden(service: Service) -> Iterator[tuple[Node, Node]]:
    """Return each leaf that a later description of the service replaces, with what does: lists are joined, unless a tag says otherwise."""
    for index, node in enumerate(service.nodes):
        for later in service.nodes[index + 1 :]:
            for key in sorted(later.keys.keys() - {"environment", "env_file", "extends"}):
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
    taken_away: list[tuple[Node, Node]] = field(default_factory=list)
    """What a later file takes away or replaces as a whole, and by what."""
    octal: set[Node] = field(default_factory=set)
    """Numbers with a zero before them and no quotes."""
    known: set[str] = field(default_factory=set)
    """The compose files that are read, by their real paths."""
    missing: dict[Node, str] = field(default_factory=dict)
    """Values that name a file which is not there."""
    absent: dict[Node, str] = field(default_factory=dict)
    """The same of files that need not be there."""
    length: int = 0
    """How many characters the values hold, with the variables in them."""

    def read(self, path: Path, text: str | None = None, *, whole: bool = True) -> None:
        """Read a compose file and those that it includes; its services count if it is `whole`. Raises MigrationError."""
        if str(path.resolve()) in self.known:
            return
        if len(self.texts) >= _MOST_FILES:
            raise MigrationError(f"{path}: too many files name each other. Look at include and extends.")
        text = read_text(path) if text is None else text
        tree = parse_tree(text, str(path))
        self.texts[str(path)] = text
        self.known.add(str(path.resolve()))
        self._interpolate(tree)
        for entry in tree.get("include").items:
            self._include(entry, path.parent)
        self.trees.append(tree)
        services = tree.get("services")
        if whole and services.tag in _REPLACING:
            for service in self.services.values():
                self._without(service, services)
            self.services.clear()
        for name, node in services.keys.items() if whole else ():
            if node.tag in _REPLACING and name in self.services:
                self._without(self.services.pop(name), node)
            if node.tag == "!reset":
                continue
            if node.value is not None and not isinstance(node.value, dict):
                raise MigrationError(f"{node.origin}: services.{name} is no service.")
            self._add(self.services.setdefault(name, Service(name)), node, path, 0)

    def resolve(self) -> None:
        """Settle the variables of all services: those of its env files, then what stands under `environment`. Raises MigrationError."""
        for service in self.services.values():
            for entry, folder, variables in service.env_files:
                self._env_file_of(service, entry, folder, variables)
            for node, variables in service.environments:
                self._environment(service, node, variables)

    def _without(self, service: Service, by: Node) -> None:
        """Note of all that was said of a service that it does not count."""
        self.taken_away += [(leaf, by) for node in service.nodes for leaf in node.leaves()]

    def _include(self, entry: Node, folder: Path) -> None:
        """Read what one entry of `include` names, with the env files that it names, or the one in its folder."""
        paths = [each for each in (entry, entry.get("path"), *entry.get("path").items) if each.text]
        files = entry.get("env_file")
        named = [each for each in (files, *files.items) if each.text]
        base = folder / entry.get("project_directory").text if entry.get("project_directory").text else None
        outside, own = self.variables, dict[str, Found]()
        for node in named:
            if is_file(folder / node.text):
                own |= self._variables_of(folder / node.text)
            else:
                self.missing[node] = (
                    f"There is no file {folder / node.text}, so its variables are not in this list."
                )
        if paths and not named:
            default = (base or (folder / paths[0].text).parent) / ".env"
            own = self._variables_of(default) if is_file(default) else {}
        self.variables = {**own, **outside}
        for node in paths:
            self._other(node, folder / node.text)
        self.variables = outside

    def _variables_of(self, path: Path) -> dict[str, Found]:
        return {str(leaf.path[0]): found for leaf, found in self.read_env_file(path) if found}

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
            if not leaf.quoted and _OCTAL.fullmatch(leaf.text):
                self.octal.add(leaf)
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
        files, environment = node.get("env_file"), node.get("environment")
        if files.tag in _REPLACING:
            self.taken_away += [
                (leaf, files) for entry, _, _ in service.env_files for leaf in entry.leaves() if leaf.line
            ]
            service.env_files.clear()
        for entry in (files.items or [files]) if files.tag != "!reset" else ():
            service.env_files.append((entry, path.parent, self.variables))
        if environment.tag in _REPLACING:
            self.taken_away += [
                (leaf, environment) for each, _ in service.environments for leaf in each.leaves() if leaf.line
            ]
            service.environments.clear()
        if environment.tag != "!reset":
            service.environments.append((environment, self.variables))

    def _env_file_of(
        self, service: Service, entry: Node, folder: Path, variables: Mapping[str, Found]
    ) -> None:
        name = entry.text or entry.get("path").text
        full = folder / name
        if not name and entry.value:
            raise MigrationError(f"{entry.origin}: {entry.name} names no file.")
        if name and is_file(full):
            self._env_file(service, full, variables, raw=entry.get("format").text == "raw")
        elif name and entry.get("required").text == "false":
            self.absent[entry] = f"There is no file {full}, and it need not be there."
        elif name:
            why = f"There is no file {full} here, so its variables are not in this list."
            self.missing |= dict.fromkeys(entry.leaves(), why)

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
        real = other.resolve()
        tree = next((each for each in self.trees if Path(each.file).resolve() == real), None)
        base = tree.get("services", name) if tree else extends
        if isinstance(base.value, dict):
            self._add(service, base, other, depth + 1)
        else:
            self.missing[extends] = f"There is no service {name}, so what it says is not in this list."

    def _env_file(self, service: Service, path: Path, variables: Mapping[str, Found], *, raw: bool) -> None:
        lines = self.read_env_file(path, variables, raw=raw)
        self.readers.setdefault(lines[0][0].file if lines else str(path), set()).add(service.name)
        for leaf, found in lines:
            if found:
                self._set(service, str(leaf.path[0]), found)

    def read_env_file(
        self, path: Path, given: Mapping[str, Found] | None = None, *, raw: bool = False
    ) -> list[tuple[Node, Found | None]]:
        """Read an env file once, however often and by whatever path it is named. Raises MigrationError."""
        file = str(path.resolve())
        if file not in self.env_files:
            variables = Variables(self.variables if given is None else given)
            read = read_raw if raw else read_env
            self.env_files[file] = lines = read(read_text(path), str(path), variables)
            for used in variables.used:
                self.uses.setdefault(used, []).extend(leaf for leaf, _ in lines)
        return self.env_files[file]

    def _set(self, service: Service, name: str, found: Found) -> None:
        before = service.environment.get(name)
        if before and before.leaf and before.leaf is not found.leaf:
            self.replaced.append((before.leaf, found))
        service.environment[name] = found

    def _environment(self, service: Service, node: Node, variables: Mapping[str, Found]) -> None:
        entries = list(node.keys.items())
        for each in node.items:
            name, equals, value = each.text.partition("=")
            if not each.text:
                raise MigrationError(f"{each.origin}: {each.name} is no NAME=value.")
            entries.append((name, Node(each.file, each.path, each.line, value if equals else None)))
        if isinstance(node.value, str) or any(each.keys or each.items for _, each in entries):
            raise MigrationError(f"{node.origin}: {node.name} is neither a map nor a list of NAME=value.")
        for (name, each), leaf in zip(entries, node.items or [each for _, each in entries], strict=True):
            if each.tag == "!reset":
                if (gone := service.environment.pop(name, None)) and gone.leaf:
                    self.replaced.append((gone.leaf, Found("", leaf.origin, leaf)))
                continue
            service.own.add(name)
            if each.value is not None:
                self._set(service, name, Found(each.text, leaf.origin, leaf))
            elif name in variables:
                outside = _as_text(name, variables[name])
                if outside.leaf:
                    self.uses.setdefault(outside.leaf, []).append(leaf)
                self._set(service, name, Found(outside.value, leaf.origin, leaf))
            elif (before := service.environment.pop(name, None)) and before.leaf:
                self.replaced.append((before.leaf, Found("", leaf.origin, leaf)))
