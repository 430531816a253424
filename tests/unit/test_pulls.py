"""What is told of a pull that goes on, from messages as Docker's engines send them."""

import pytest
from docker.errors import APIError

from xnathub_conf.spawners.pulls import Pull


def layer(name: str, status: str, **progress: int) -> dict[str, object]:
    return {"id": name, "status": status, "progressDetail": progress}


def test_bytes_and_layers_are_counted():
    pull = Pull()
    assert pull.progress == ""
    pull.follow([{"status": "Pulling from xnat/big", "id": "1.2"}])
    assert pull.progress == ""
    pull.follow([layer("a", "Already exists"), layer("b", "Pulling fs layer"), layer("c", "Waiting")])
    assert pull.progress == " (0 bytes, 1 of 3 layers)"
    pull.follow([layer("b", "Downloading", current=999, total=2_100_000_000)])
    assert pull.progress == " (999 bytes, 1 of 3 layers)"
    pull.follow([layer("b", "Downloading", current=1_640_000_000), layer("c", "Downloading", current=12)])
    assert pull.progress == " (1.64 GB, 1 of 3 layers)"
    pull.follow([layer("b", "Verifying Checksum"), layer("b", "Download complete")])
    pull.follow([layer("b", "Extracting", current=5, total=2_100_000_000), {"status": "Digest: sha256:0"}])
    assert pull.progress == " (1.64 GB, 2 of 3 layers)"


def test_a_pull_that_fails_on_its_way_is_an_error():
    with pytest.raises(APIError, match="unexpected EOF"):
        Pull().follow([layer("a", "Downloading", current=1), {"error": "unexpected EOF", "errorDetail": {}}])
