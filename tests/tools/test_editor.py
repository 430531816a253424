"""An editor's help with site.yaml: the real yaml-language-server, over its protocol."""

import json
import subprocess
import threading
from itertools import count
from queue import Queue

import pytest

from tests.support import ROOT
from tests.unit.helpers import MINIMAL
from xnathub_conf.cli import main
from xnathub_conf.site.schema import site_schema

SERVER = ROOT / "node_modules/yaml-language-server/bin/yaml-language-server"


class Editor:
    """As much of an editor as speaks the Language Server Protocol (microsoft.github.io/language-server-protocol)."""

    def __init__(self, folder):
        self.uri = (folder / "site.yaml").as_uri()
        self.process = subprocess.Popen(
            ["node", SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
        )
        self.messages: Queue = Queue()
        self.ids = count(1)
        threading.Thread(target=self._read, daemon=True).start()
        self.ask("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": {}})
        self.tell("initialized", {})
        # Nothing is looked up on the network: the schema is the one that the file's first line names.
        settings = {
            "yaml": {"schemaStore": {"enable": False}, "completion": True, "hover": True, "validate": True}
        }
        self.tell("workspace/didChangeConfiguration", {"settings": settings})

    def _send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def _read(self):
        while line := self.process.stdout.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            elif line == b"\r\n":
                self.messages.put(json.loads(self.process.stdout.read(length)))

    def tell(self, method, params):
        self._send({"method": method, "params": params})

    def ask(self, method, params):
        number = next(self.ids)
        self._send({"id": number, "method": method, "params": params})
        return self._wait(lambda message: message.get("id") == number and "method" not in message)["result"]

    def _wait(self, wanted):
        while True:
            message = self.messages.get(timeout=60)
            if "method" in message and "id" in message:
                # The server asks the editor for settings, of which there are none beyond those told.
                items = message["params"].get("items", []) if message.get("params") else []
                self._send({"id": message["id"], "result": [None] * len(items)})
            if wanted(message):
                return message

    def open(self, text):
        """Show a text, and give the lines with problems: number from 1, and what is said of it."""
        document = {"uri": self.uri, "languageId": "yaml", "version": next(self.ids), "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})
        found = self._wait(lambda message: message.get("method") == "textDocument/publishDiagnostics")
        return [
            (each["range"]["start"]["line"] + 1, each["message"]) for each in found["params"]["diagnostics"]
        ]

    def at(self, method, text, needle):
        """Ask about the place behind `needle`."""
        before = text[: text.index(needle) + len(needle)]
        line, character = before.count("\n"), len(before) - before.rfind("\n") - 1
        place = {"textDocument": {"uri": self.uri}, "position": {"line": line, "character": character}}
        return self.ask(f"textDocument/{method}", place)

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--xnat-url=https://x.org", "--public-url=https://x.org/jupyterhub/", "--image=xnat/*"]
    assert main(["init", *flags, "--orchestrator=swarm"]) == 0
    return tmp_path


@pytest.fixture
def editor(folder):
    editor = Editor(folder)
    yield editor
    editor.close()


@pytest.fixture
def head(folder):
    """The first line of a file that `init` wrote, with which an editor finds the schema."""
    return (folder / "site.yaml").read_text().splitlines()[0] + "\n"


def test_a_new_file_has_no_problems(editor, folder):
    assert editor.open((folder / "site.yaml").read_text()) == []


def test_problems(editor, head):
    text = head + MINIMAL.replace("servers:", "servers:\n  start_timeout: soon\n  no_such_key: 1")
    lines = text.splitlines()
    problems = {lines[number - 1].strip(): message for number, message in editor.open(text)}
    assert set(problems) == {"start_timeout: soon", "no_such_key: 1"}
    assert "integer" in problems["start_timeout: soon"]
    assert "no_such_key" in problems["no_such_key: 1"]


def test_completion(editor, head):
    text = head + MINIMAL.replace("servers:", "servers:\n  st\n")
    editor.open(text)
    labels = {each["label"] for each in editor.at("completion", text, "\n  st")["items"]}
    assert {"start_timeout", "stop_timeout", "default_url"} <= labels
    assert "api_token" not in labels


def test_completion_of_a_value(editor, head):
    text = head + MINIMAL + "sign_in:\n  everyone: \n"
    editor.open(text)
    labels = {each["label"].strip('"') for each in editor.at("completion", text, "everyone: ")["items"]}
    assert {"preference", "always", "never"} <= labels


def test_hover(editor, head):
    text = head + MINIMAL
    editor.open(text)
    contents = editor.at("hover", text, "allowed_im")["contents"]
    description = site_schema()["properties"]["servers"]["properties"]["allowed_images"]["description"]
    shown = contents["value"].replace("\\", "").replace("&nbsp;", " ")
    assert description[:30] in shown
