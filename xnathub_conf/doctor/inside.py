"""What a server sees of its world: code that runs in a kernel of it, and what it says."""

import json
import uuid
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from xnathub_conf.doctor.http import CONNECT_SECONDS, NoAnswer
from xnathub_conf.launch.plan import LaunchPlan

_CODE = """
import base64, glob, json, os, time, urllib.request, uuid
base = os.environ["JUPYTERHUB_ROOT_DIR"] if LOCAL else ""
seen = {"uid": os.getuid(), "gid": os.getgid(), "mounts": []}

def first_file(folder):
    looked = 0
    for here, folders, files in os.walk(folder):
        for name in files:
            path = os.path.join(here, name)
            if os.path.isfile(path):
                return path
        looked += 1
        if looked > 500:
            break

for target, read_only in MOUNTS:
    told = {"target": target, "read": None, "write": None}
    folder = base + target
    try:
        one = os.path.isfile(folder)
        if not one:
            os.listdir(folder)
        if file := folder if one else first_file(folder):
            with open(file, "rb") as stream:
                stream.read(1)
            told["read"] = "file"
        else:
            told["read"] = "empty"
    except OSError as error:
        told["read"] = error.strerror
    probe = os.path.join(folder, ".xnathub-doctor-" + uuid.uuid4().hex)
    try:
        if os.path.isfile(folder):
            open(folder, "ab").close()
        else:
            with open(probe, "w") as stream:
                stream.write("written")
            os.remove(probe)
        told["write"] = "ok"
    except OSError as error:
        told["write"] = error.strerror
    seen["mounts"].append(told)

seen["gpus"] = len(glob.glob("/dev/nvidia[0-9]*")) + len(glob.glob("/dev/dri/renderD*")) + len(glob.glob("/dev/kfd"))

began = time.time()
try:
    host = os.environ["XNAT_HOST"].rstrip("/")
    login = os.environ["XNAT_USER"] + ":" + os.environ["XNAT_PASS"]
    basic = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
    answer = urllib.request.urlopen(urllib.request.Request(host + "/xapi/users/username", headers=basic), timeout=20)
    seen["xnat_user"] = answer.read(200).decode().strip('"')
    cookies = [each.partition(";")[0] for each in answer.headers.get_all("Set-Cookie") or ()]
    # XNAT limits how many sessions a user may have.
    end = urllib.request.Request(host + "/data/JSESSION", method="DELETE", headers={"Cookie": "; ".join(cookies)})
    urllib.request.urlopen(end, timeout=20).read(1)
except KeyError as error:
    seen["xnat_error"] = "the variable " + error.args[0] + " is not set"
except Exception as error:
    seen["xnat_error"] = type(error).__name__ + ": " + str(error)
seen["xnat_seconds"] = round(time.time() - began, 1)
print("xnathub-doctor" + json.dumps(seen))
"""


def code_for(plan: LaunchPlan, *, local: bool) -> str:
    """Return the code that looks at what a plan gives a server; where it is `local`, mounts are links in its folder."""
    mounts = [(mount.target, mount.read_only) for mount in plan.mounts]
    return f"MOUNTS = {mounts!r}\nLOCAL = {local}\n{_CODE}"


async def run_in_kernel(channels: str, token: str, code: str) -> dict[str, Any]:
    """Run that code through a kernel's websocket, and give what it says. Raises NoAnswer."""
    request = HTTPRequest(
        f"ws{channels.removeprefix('http')}",
        headers={"Authorization": f"token {token}"},
        connect_timeout=CONNECT_SECONDS,
    )
    connection = await websocket_connect(request)
    try:
        await connection.write_message(json.dumps(_message(code)))
        said = ""
        while True:
            text = await connection.read_message()
            if text is None:
                raise NoAnswer("the kernel's connection was closed")
            reply = json.loads(text)
            if reply["msg_type"] == "stream":
                said += reply["content"]["text"]
                _, brace, rest = said.partition("xnathub-doctor{")
                if brace and rest.endswith("}\n"):
                    told: dict[str, object] = json.loads("{" + rest)
                    return told
            elif reply["msg_type"] == "error":
                raise NoAnswer(
                    f"the code failed: {reply['content'].get('ename')}: {reply['content'].get('evalue')}"
                )
    finally:
        connection.close()


def _message(code: str) -> dict[str, object]:
    content = {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
    }
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "version": "5.3",
        "username": "",
        "session": "",
    }
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
