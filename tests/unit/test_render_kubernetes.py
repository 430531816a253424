"""What Kubernetes deploys a site from, where no cluster is needed to see it."""

import pytest
import yaml

from tests.unit.helpers import MINIMAL
from xnathub_conf.cli import main

SITE = MINIMAL.replace(
    "swarm: {}", "kubernetes: {namespace: imaging, claims: [{path: /data/xnat, claim_name: xnat}]}"
)


@pytest.fixture
def rendered(tmp_path, capsys):
    def render(*options):
        (tmp_path / "site.yaml").write_text(SITE)
        code = main(["render", "kubernetes", *options, str(tmp_path / "site.yaml")])
        out, err = capsys.readouterr()
        return code, out, err

    return render


def test_hub_and_proxy_run_from_one_image(rendered):
    code, out, _ = rendered("--image", "registry.example.org:5000/xnathub:1.2")
    assert code == 0
    values = yaml.safe_load(out)
    both = {"name": "registry.example.org:5000/xnathub", "tag": "1.2"}
    assert values["jupyterhub"]["hub"]["image"] == values["jupyterhub"]["proxy"]["chp"]["image"] == both
    assert values["image"] == {"repository": both["name"], "tag": both["tag"]}


def test_no_tag_is_latest(rendered):
    values = yaml.safe_load(rendered("--image", "example.org/xnathub")[1])
    assert values["jupyterhub"]["proxy"]["chp"]["image"] == {"name": "example.org/xnathub", "tag": "latest"}


def test_manifests_take_it_too(rendered):
    code, out, _ = rendered("--manifests", "--image", "example.org/xnathub:1.2")
    assert code == 0
    deployments = [one for one in yaml.safe_load_all(out) if one and one["kind"] == "Deployment"]
    images = {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in deployments}
    assert images == {"example.org/xnathub:1.2"}
    assert len(deployments) == 2


@pytest.mark.parametrize("image", ["x@sha256:" + "0" * 64, "Not/An Image"])
def test_what_the_chart_can_t_take_is_refused(rendered, image):
    code, out, err = rendered("--image", image)
    assert (code, out) == (1, "")
    assert image in err


def test_manifests_bring_images_ahead_to_where_servers_run(rendered, tmp_path, capsys):
    ahead = "images_ahead: [xnat/a:1, 'xnat/b:2']"
    more = "image_pull_secrets: [login], node_selector: {gpu: 'true'}, tolerations: [{key: gpu, operator: Exists}], claims"
    site = SITE.replace("[xnat/*]", f"[xnat/*]\n  uid: 7\n  {ahead}").replace("claims", more)
    (tmp_path / "site.yaml").write_text(site)
    assert main(["render", "kubernetes", "--manifests", str(tmp_path / "site.yaml")]) == 0
    objects = [one for one in yaml.safe_load_all(capsys.readouterr().out) if one]
    (pod,) = (one["spec"]["template"]["spec"] for one in objects if one["kind"] == "DaemonSet")
    assert [each["image"] for each in pod["initContainers"]] == ["xnat/a:1", "xnat/b:2"]
    assert pod["securityContext"]["runAsUser"] == 7
    assert (pod["nodeSelector"], pod["imagePullSecrets"]) == ({"gpu": "true"}, [{"name": "login"}])
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert "kind: DaemonSet" not in rendered("--manifests")[1]
