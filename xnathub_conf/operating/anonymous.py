"""Text without the names of people and data in it: each name is a number, the same one wherever it stands."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from xnathub_conf.operating.log_text import without_tokens
from xnathub_conf.values.secret import REDACTED

_KINDS: Mapping[str, str] = {
    "user": "user", "username": "user", "by": "user", "admin_users": "user", "user_name": "user",
    "project": "project", "projects": "project", "projectId": "project",
    "item": "item", "itemId": "item", "itemLabel": "item", "address": "address",
}  # fmt: skip
"""What the values of a JSON object name, by their keys."""

_PLAIN = frozenset(
    {*_KINDS, "hub", "service xnat", "service prometheus", "jupyterhub", "xnat", "prometheus", "None", "null",
     "start", "stop", "event", "outcome", "ok", "failed", "server", "users"}
)  # fmt: skip
"""Words that would be lost with the name of somebody who is called so, and tell nothing of them."""

_SECRETS = (
    re.compile(r"()-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL),
    re.compile(r"\b((?:token|Basic|Bearer) )[\w.=+/-]{8,}"),
    re.compile(r"(://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(r"((?:password|secret)(?:[=:] ?)|JSESSIONID=)[^\s\"',;]+", re.IGNORECASE),
)
"""What holds a secret by its form, after what may stay."""

_LONG = re.compile(r"[\w+=-]{24,}")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ADDRESS = re.compile(r"(?<![\d.])(?!127\.0\.0\.1|0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_PART = r"[^/\s?#\"'<>,;)\]}]+"
_IN_PATH = (
    (re.compile(rf"(?:(?<=/users/)|(?<=/user/)){_PART}"), "user"),
    (re.compile(rf"(?<=/projects/){_PART}"), "project"),
    (re.compile(rf"(?:(?<=/subjects/)|(?<=/experiments/)){_PART}"), "item"),
)
_MARK = re.compile("\ue000(\\d+)\ue001")
_QUOTED = re.compile(r"(?<=user ')[^']+(?=')|(?<=user \")[^\"]+(?=\")")


class Numbers:
    """The numbers of names; secrets, names and folders that are known are found wherever they stand."""

    def __init__(self, secrets: Iterable[str] = (), roots: Sequence[str] = ()):
        """Take secrets, and the folders below which each path tells what data there are."""
        self._secrets = {form for each in secrets if len(each) > 3 for form in _forms(each)}
        self._marks: dict[str, str] = {}
        self._labels: list[str] = []
        self._counts: dict[str, int] = {}
        rests = "|".join(
            re.escape(root.rstrip("/")) for root in sorted(roots, key=len, reverse=True) if len(root) > 1
        )
        self._below = re.compile(rf"((?:{rests})/)([^\s\"'<>,;)\]}}]+)") if rests else None
        self._known: re.Pattern[str] | None = None

    def learn(self, kind: str, name: object) -> None:
        """Know a name from now on; `kind` is what its number says."""
        if isinstance(name, str) and name and name not in _PLAIN and not name.isdigit():
            self._mark(kind, name)

    def learn_from_json(self, text: str) -> None:
        """Know the names in each line that holds a JSON object."""
        for line in text.splitlines():
            _, brace, rest = line.partition("{")
            if brace:
                try:
                    self.learn_from(json.loads(brace + rest))
                except ValueError:
                    continue

    def learn_from(self, value: object) -> None:
        """Know the names in parsed JSON."""
        if isinstance(value, Mapping):
            for key, item in value.items():
                if kind := _KINDS.get(key):
                    for name in item if isinstance(item, list | tuple) else (item,):
                        self.learn(kind, name)
                self.learn_from(item)
        elif isinstance(value, list | tuple):
            for item in value:
                self.learn_from(item)

    def in_text(self, text: str) -> str:
        """Return text without names and secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        text = without_tokens(text)
        for pattern in _SECRETS:
            text = pattern.sub(rf"\1{REDACTED}", text)
        text = _LONG.sub(_unless_a_word, text)
        for pattern, kind in _IN_PATH:
            text = pattern.sub(partial(self._in_match, kind), text)
        if self._below:
            text = self._below.sub(lambda found: found[1] + self._mark("path", found[2]), text)
        text = _QUOTED.sub(lambda found: self._mark("user", found[0]), text)
        if known := self._pattern():
            text = known.sub(self._known_mark, text)
        text = _EMAIL.sub(lambda found: self._mark("email", found[0]), text)
        text = _ADDRESS.sub(lambda found: self._mark("address", found[0]), text)
        return _MARK.sub(lambda found: self._labels[int(found[1])], text)

    def _known_mark(self, found: re.Match[str]) -> str:
        # The expression takes a few characters for each other that lower() does not.
        return self._marks.get(found[0]) or self._marks.get(found[0].lower()) or self._mark("name", found[0])

    def _in_match(self, kind: str, found: re.Match[str]) -> str:
        return self._mark(kind, found[0])

    def _mark(self, kind: str, name: str) -> str:
        """Return what stands for a name until the end, when no more is looked for: its number could be somebody's name."""
        if name in _PLAIN or name == REDACTED or _MARK.search(name):
            return name
        if name not in self._marks:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            mark = f"\ue000{len(self._labels)}\ue001"
            self._labels.append(f"{kind}-{self._counts[kind]}")
            for form in _forms(name):
                self._marks.setdefault(form, mark)
                self._marks.setdefault(form.lower(), mark)
            self._known = None
        return self._marks[name]

    def _pattern(self) -> re.Pattern[str] | None:
        if self._known is None and self._marks:
            # A tree of characters, so that thousands of names cost no more than the longest of them.
            tree: dict[str, Any] = {}
            for name in self._marks:
                node = tree
                for character in name.lower():
                    node = node.setdefault(character, {})
                node[""] = {}
            self._known = re.compile(rf"(?<![A-Za-z0-9]){_branches(tree)}(?![A-Za-z0-9])", re.IGNORECASE)
        return self._known


def _unless_a_word(found: re.Match[str]) -> str:
    """Return what can be no secret: what has no digit, or no letter."""
    text = found[0]
    has_both = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return REDACTED if has_both else text


def _branches(node: Mapping[str, Any]) -> str:
    """Return the expression for all that a tree holds, the longest first."""
    run = ""
    while len(node) == 1 and "" not in node:
        ((character, node),) = node.items()
        run += re.escape(character)
    branches = [re.escape(character) + _branches(below) for character, below in node.items() if character]
    if not branches:
        return run
    return f"{run}(?:{'|'.join(branches)}){'?' if '' in node else ''}"


def _forms(name: str) -> set[str]:
    """Return a name as it stands in text, in JSON, in addresses and in objects' names."""
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    forms = {name, json.dumps(name)[1:-1], quote(name, safe=""), quote(name), repr(name)[1:-1]}
    if len(plain) > 2:
        forms.add(plain)
    return {form for form in forms if form}
