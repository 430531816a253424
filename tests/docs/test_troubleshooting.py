"""Every error that the program can give stands in docs/troubleshooting.md, and nothing that it can't give.

The texts are read from the source: the arguments of the calls in MESSAGE_ARGUMENT, with `...` for what varies.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "xnathub_conf"
PAGE = ROOT / "docs/troubleshooting.md"

MESSAGE_ARGUMENT = {
    "report": 3, "_report": 3, "_stop": 3, "Fault": 1, "Rights": 0, "Slip": 2, "Words": 0, "Ambiguity": 0,
    "LaunchFailed": 1, "_failed": 1, "Phase": 1, "PolicyRefusal": 2, "Ending": 1, "Why": 0, "SignInRefused": 2, "PlanError": 1,
    "MigrationError": 0, "SecretError": 0, "PathError": 0, "ImageError": 0, "RuleMissing": 0, "NameGone": 0, "NoGate": 0, "NotApplied": 0, "LoginsError": 0,
    "XnatError": 0, "XnatUnreachable": 0, "XnatUntrusted": 0, "XnatBadAnswer": 0, "XnatLoginRedirect": 0,
    "DatabaseRefused": 0, "HubDataError": 0, "XnatUnauthorized": 0, "XnatTooManySessions": 0, "XnatForbidden": 0, "XnatNotFound": 0,
}  # fmt: skip
"""Calls that make an error which people read, and which of their arguments, from 0, is its text."""

PASSED_ON = {"message", "found", "text"}
"""Names of arguments by which a function passes on a text that its callers give."""


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PROGRAM.rglob("*.py")):
        # What doctor finds stands beside what to do, on its own line.
        if not {"standin", "doctor"} & set(path.parts):
            yield path, ast.parse(path.read_text())


def texts(node: ast.expr, function: ast.AST) -> set[str]:
    """Return the texts that an expression can be; none where it is none."""
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.JoinedStr(values=values):
            return {"".join(v.value if isinstance(v, ast.Constant) else "..." for v in values)}
        case ast.IfExp(body=one, orelse=other):
            return texts(one, function) | texts(other, function)
        case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id="error")]):
            return {""}  # the text of an error that is listed itself
        case ast.Name(id=name):
            return {
                text
                for each in ast.walk(function)
                if isinstance(each, ast.Assign)
                and any(isinstance(t, ast.Name) and t.id == name for t in each.targets)
                for text in texts(each.value, function)
            }
    return set()


def calls() -> Iterator[tuple[str, ast.expr, ast.AST]]:
    for path, module in sources():
        functions: list[ast.AST] = [
            n for n in ast.walk(module) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        # What an orchestrator's Kind says stands in no function.
        functions += [
            n for n in module.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "KIND"
        ]
        for function in functions:
            for call in ast.walk(function):
                if not isinstance(call, ast.Call):
                    continue
                name = getattr(call.func, "id", getattr(call.func, "attr", ""))
                index = MESSAGE_ARGUMENT.get(name)
                if index is not None and len(call.args) > index:
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", call.args[index], function


def constants() -> Iterator[tuple[str, ast.expr]]:
    """The texts that a module keeps under the name MESSAGE."""
    for path, module in sources():
        for node in module.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MESSAGE":
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def messages() -> dict[str, str]:
    """Every text, in its plain form, and where it is given."""
    given = {where: texts(node, function) for where, node, function in calls()}
    given |= {where: texts(node, node) for where, node in constants()}
    return {plain(text): where for where, each in given.items() for text in each if text}


def plain(text: str) -> str:
    """Bring a text to the form in which the page has it: its first sentence, no mark-up, one `...` for what varies."""
    text = re.sub(r"\.{3,}( \.{3,})*", "...", text.replace("`", "").replace("|", "/"))
    return re.split(r"(?<=[.?]) +(?=[A-Z])", " ".join(text.split()))[0].rstrip(".").rstrip()


def entries() -> set[str]:
    """The texts in the first column of the page's tables."""
    rows = re.findall(r"^\| (.+?) \| .+ \|$", PAGE.read_text(), re.MULTILINE)
    return {plain(row) for row in rows if row != "it says"}


def test_every_text_can_be_read_from_the_source():
    unread = [
        where
        for where, node, function in calls()
        if not texts(node, function) and not (isinstance(node, ast.Name) and node.id in PASSED_ON)
    ]
    assert unread == []


def test_no_error_is_forgotten():
    given = {
        node.name
        for _, module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        and any(
            getattr(base, "id", "").endswith(("Error", "Exception", "Refused", "Refusal"))
            for base in node.bases
        )
    }
    # SiteError carries problems, each of which was reported; SignInRefused tells of TooManyFailures and SeveralPeople; RuleMissing
    # stands for a JupyterHub that is not pinned; NotCarriedError and PartlyError become lines of a report; what NotReady says
    # stands in docs/demo.md; the others never leave their modules.
    assert (
        given
        - set(MESSAGE_ARGUMENT)
        - {
            "SiteError",
            "TooManyFailures",
            "SeveralPeople",
            "_Again",
            "_Refused",
            "_Unknown",
            "NotReady",
            "RuleMissing",
            "NotCarriedError",
            "PartlyError",
        }
        == set()
    )


def test_every_error_has_an_entry():
    missing = {text: where for text, where in messages().items() if text not in entries()}
    assert missing == {}


def test_every_entry_is_an_error():
    assert entries() - set(messages()) == set()
