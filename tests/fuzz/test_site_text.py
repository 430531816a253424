"""Any bytes as a site file: a Site or a SiteError whose every problem has its place, soon and in little memory."""

import contextlib
import json
import re

from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.bounds import bounded, fuzz
from tests.fuzz.strategies import ANYTHING, LEAVES, ODD_TEXT, changed, sites, small_site
from tests.unit.helpers import EXAMPLE, MINIMAL
from xnathub_conf.cli.reports import REPORTS, Checked
from xnathub_conf.cli.show import _rows
from xnathub_conf.render.kubernetes import render_manifests, render_values
from xnathub_conf.render.swarm import render_stack
from xnathub_conf.site.kinds import kinds
from xnathub_conf.site.load import load
from xnathub_conf.site.problems import SiteError

_RENDERERS = {"swarm": (render_stack,), "kubernetes": (render_values, render_manifests)}


def check_site_file(content: bytes) -> bool:
    """Load a site file, and judge what comes of it. Gives whether it is valid."""
    with bounded():
        try:
            loaded = load("site.yaml", content=content)
        except SiteError as error:
            problems = error.problems
            assert any(problem.severity == "error" for problem in problems)
        else:
            problems = loaded.warnings
            assert all(problem.severity == "warning" for problem in problems)
            _use(loaded, content)
        check_problems(problems, content)
        for report in REPORTS.values():
            report([Checked("site.yaml", False, tuple(problems))])
    return all(problem.severity == "warning" for problem in problems)


def check_problems(problems, content):
    """Every problem has a line and a column of the file, a rule, a sentence, and a path where it is of a value."""
    lines = re.split("\r\n|[\n\r]", content.decode("utf-8-sig", "replace"))
    for problem in problems:
        assert 1 <= problem.line <= len(lines) + 1
        line = lines[problem.line - 1] if problem.line <= len(lines) else ""
        assert 1 <= problem.column <= len(line) + 1
        assert problem.message
        assert problem.message == problem.message.strip()
        assert re.fullmatch("[a-zA-Z-]+", problem.rule)
        if problem.rule not in _OF_THE_TEXT:
            assert isinstance(problem.path, tuple)
            assert problem.path or problem.rule in {"type", "required", "additionalProperties"}, problem


_OF_THE_TEXT = {
    "encoding", "empty", "syntax", "tab", "too-large", "too-deep", "several-documents", "alias", "key", "tag", "merge-key",
    "ambiguous", "typography",
}  # fmt: skip


def _use(loaded, content):
    json.dumps(_rows(loaded))
    for orchestrator, renderers in _RENDERERS.items():
        if loaded.site.orchestrator.key == orchestrator:
            for renderer in renderers:
                with contextlib.suppress(ValueError):
                    renderer(loaded, content.decode("utf-8-sig"))


_EXAMPLE = EXAMPLE.read_text()
_PIECES = st.sampled_from(
    [*"{}[]:,-?&*!|>'\"%@`#~\n\t \\", ": ", "- ", "\n  ", "&a ", "*a", "<<: *a", "!!int ", "---\n", "...\n", "no", "010", "1:30", ".inf",
     "null", "\\x00", "é", "😀", "\r\n", "\x85", "\u2028", "\ufeff", "\0", "[" * 40, "&a [*a, *a]", "%YAML 1.1\n", "? ", "x" * 5000,
     "9" * 5000, "{username}", "..", "env: X", "file: /x"]
)  # fmt: skip


@st.composite
def _mutated_text(draw):
    """A valid file with stretches of it taken out, put in, doubled or moved."""
    text = draw(st.sampled_from([_EXAMPLE, MINIMAL, MINIMAL, *_JSON_SITES]))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        what = draw(st.integers(0, 3))
        if what == 0:
            text = text[:start] + text[end:]
        elif what == 1:
            text = text[:start] + draw(_PIECES | ODD_TEXT) + text[start:]
        elif what == 2:
            text = text[:end] + text[start:end] + text[end:]
        else:
            there = draw(st.integers(0, len(text)))
            text = text[:there] + text[start:end] + text[there:]
    return text.encode("utf-8", "surrogatepass")


_JSON_SITES = [json.dumps(small_site(orchestrator), indent=1) for orchestrator in kinds()]


@fuzz(500)
@given(_mutated_text())
def test_a_valid_file_with_pieces_changed(content):
    check_site_file(content)


@fuzz(400)
@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(_PIECES, max_size=60).map("".join).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
@example(b"")
@example(b"\xff\xfe")
@example(b"a: " + b"[" * 100_000)
@example(b"- " * 100_000)
def test_any_bytes(content):
    check_site_file(content)


@st.composite
def _odd_sites(draw):
    """A site with anything at all at some of its keys, and keys that there are not."""
    data = small_site(draw(st.sampled_from(list(kinds()))))
    for path, _ in draw(st.lists(st.sampled_from(LEAVES), min_size=1, max_size=4)):
        cut = path[: draw(st.integers(1, len(path)))]
        with contextlib.suppress(TypeError, AttributeError):
            data = changed(data, [(cut, draw(ANYTHING))])
    if draw(st.booleans()):
        data = changed(data, [(("extra",), draw(st.dictionaries(_TRAITS | ODD_TEXT, ANYTHING, max_size=3)))])
    return data


_TRAITS = st.sampled_from(
    ["JupyterHub.db_kwargs", "JupyterHub.load_groups", "Authenticator.blocked_users", "SwarmSpawner.args", "KubeSpawner.lifecycle_hooks"]
)  # fmt: skip


@fuzz(200)
@given(_odd_sites())
def test_anything_anywhere(data):
    check_site_file(json.dumps(data).encode())


@fuzz(150)
@given(sites())
def test_values_that_fit_the_schema(data):
    check_site_file(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def test_the_properties_above_see_valid_files():
    assert check_site_file(_EXAMPLE.encode())
    assert all(check_site_file(text.encode()) for text in _JSON_SITES)
