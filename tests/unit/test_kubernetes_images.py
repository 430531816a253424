"""Which nodes have an image ahead of time, by pods of the chart's DaemonSet as a cluster describes them."""

import pytest

from xnathub_conf.spawners.kubernetes_images import NO_PODS, brought, lacking

ONE, TWO = "xnat/lab:1", "xnat/lab:2"
DONE = {"imageID": "docker.io/xnat/lab@sha256:0", "state": {"terminated": {"exitCode": 0}}}
NO_PROGRAM = {
    "imageID": "docker.io/xnat/lab@sha256:0",
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
}
IN_TURN = {"imageID": "", "state": {"waiting": {"reason": "PodInitializing"}}}
REFUSED = {"imageID": "", "state": {"waiting": {"reason": "ErrImagePull", "message": "401 Unauthorized"}}}


def pod(node, *states, images=(ONE, TWO), **status):
    names = [f"image-{number}" for number in range(len(images))]
    return {
        "metadata": {"name": "images-ahead-x"},
        "spec": {"initContainers": [{"name": name, "image": image} for name, image in zip(names, images, strict=True)]} | ({"nodeName": node} if node else {}),
        "status": {"initContainerStatuses": [{"name": name, **state} for name, state in zip(names, states, strict=False)], **status},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pods", "there", "said"),
    [
        ([], (0, 1), NO_PODS),
        ([pod("a", DONE, DONE), pod("b", DONE, NO_PROGRAM)], (2, 2), ""),
        ([pod("a", DONE, DONE), pod("b", DONE, REFUSED)], (1, 2), "b: ErrImagePull, 401 Unauthorized"),
        ([pod("a", REFUSED, IN_TURN)], (0, 1), "a: it is being pulled, or waits for the ones before it"),
        ([pod("a")], (0, 1), "a: it is being pulled, or waits for the ones before it"),
        ([pod(None, conditions=[{"status": "False", "message": "0/1 nodes are available"}])], (0, 1), "a node for images-ahead-x: 0/1 nodes are available"),
        ([pod(None)], (0, 1), "a node for images-ahead-x: no node yet"),
        ([pod("a", DONE, images=(ONE,))], (0, 1), "a: its pod is of an older site"),
    ],
)  # fmt: skip
def test_each_node_is_counted_by_whether_its_pod_had_the_image(pods, there, said):
    found = brought(pods, TWO)
    assert ((found.there, found.nodes), found.problem) == (there, said)


def test_each_image_is_looked_for_by_itself():
    pods = [pod("a", DONE, REFUSED)]
    assert lacking(pods, ONE) == {}
    assert list(lacking(pods, TWO)) == ["a"]
