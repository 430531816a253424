"""Old files with something wrong in them: `migrate` ends with a report or with a sentence, and in no other way."""

import contextlib
import io
import re
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.bounds import fuzz
from tests.unit.test_migrate import ENV, STACK, VALUES
from tests.unit.test_migrate_python import CONFIG
from xnathub_conf.cli.migrate import Options, migrate

OVERRIDE = """\
include: [more.yml]
services:
  jupyterhub:
    extends: {file: docker-stack.yml, service: jupyterhub}
    env_file: [{path: .env, format: raw, required: false}]
    environment: !override [JH_UID=5, NB_UID]
    ports: [{target: 8000, published: "9000", host_ip: 127.0.0.1}, "9001:8000"]
    user: "1000:999"
    configs: [{source: c, target: /x.py}]
configs: {c: {content: "cfg = c; cfg.Spawner.environment['A'] = '1'"}}
"""
MORE_CONFIG = """\
c.JupyterHub.bind_url = "http://:9000/x"
c.Spawner.environment.update({"A": "1"}, B="2")
c.Spawner.cpu_limit, c["Spawner"]["mem_limit"] = 2, "1G"
c.DockerSpawner.extra_host_config = {"shm_size": "1g", "ulimits": [{"name": "nofile", "soft": 1, "hard": 2}]}
c.KubeSpawner.volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "w"}}]
c.KubeSpawner.volume_mounts = [{"name": "v", "mountPath": "/data/xnat/workspaces", "subPath": "users/{username}"}]
if os.environ.get("X"):
    c.Authenticator.admin_users |= {"a"}
"""
TEXTS = {
    "docker-stack.yml": STACK, "override.yml": OVERRIDE, "values.yaml": VALUES, "jupyterhub_config.py": CONFIG, "more.py": MORE_CONFIG, "old.env": ENV
}  # fmt: skip
ODD = """
    ² ²:1 http://[ http://:99999/ "\\ud800" !reset !override [] {} null ~ *a &a <<: 0777 1e999 .inf .nan -1 99999999999999999999 " ' $ ${ ${A:- }
    {a:{b:c}} [a,[b]] true Ⅷ :: [::1] / // .. ~x/y - ? : | > c. cfg lambda:1 b"x" 1j None ... not {**a} [*a] x[0] -"a" {1:2} (1,) f"{a!r}" "tcp://x:y"
""".split()  # noqa: SIM905
WORD = re.compile(r"[^\s:,\[\]{}=()]+")


@st.composite
def broken(draw):
    """Return a file's name, and its text with up to three words or lines of it replaced, doubled or gone."""
    name = draw(st.sampled_from(sorted(TEXTS)))
    text = TEXTS[name]
    for _ in range(draw(st.integers(1, 3))):
        words = list(WORD.finditer(text))
        if not words:
            break
        word = draw(st.sampled_from(words))
        how = draw(st.sampled_from(["odd", "odd", "other", "before", "line", "gone"]))
        if how in {"line", "gone"}:
            lines = text.split("\n")
            number = text.count("\n", 0, word.start())
            lines[number : number + 1] = [lines[number]] * 2 if how == "line" else []
            text = "\n".join(lines)
        else:
            new = draw(st.sampled_from(words))[0] if how == "other" else draw(st.sampled_from(ODD))
            text = text[: word.start()] + new + text[word.start() if how == "before" else word.end() :]
    return name, text


@fuzz(120)
@given(broken(), st.sampled_from(["text", "json", "markdown"]), st.booleans())
def test_a_broken_file_ends_in_a_report_or_a_sentence(file, form, beside):
    name, text = file
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for other, whole in TEXTS.items():
            (folder / other).write_text(whole)
        (folder / name).write_text(text, encoding="utf-8")
        names = ["docker-stack.yml", "override.yml"] if beside and name == "override.yml" else [name]
        options = Options(
            files=[str(folder / each) for each in names], env_files=[], service=None, output=str(folder / "site.yaml"), secrets_dir=str(folder / "s"),
            secrets_path=None, public_url=None, images=[], force=True, xnat_url="https://x.org", without_hub=str(folder / "w.yml") if beside else None, format=form,
        )  # fmt: skip
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = migrate(options, {})
        assert (code, bool(out.getvalue()), bool(err.getvalue())) in {(0, True, False), (1, False, True)}
