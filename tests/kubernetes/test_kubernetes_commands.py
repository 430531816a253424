"""kubectl's and Helm's commands on the pages are ones that they know, with the options that they show."""

from tests.docs.pages import commands, complaint
from tests.kubernetes.testbed import Cluster


def test_kubectl_and_helm_know_the_commands_of_the_pages(cluster: Cluster, monkeypatch):
    monkeypatch.setenv("PATH", cluster.environment["PATH"])
    wrong, looked_at = [], 0
    for program in ("kubectl", "helm"):
        for code, words in commands(program):
            # Of all its commands, so no command's own help has it.
            rest = words[2:] if words[:1] == ["--namespace"] else words
            looked_at += bool(rest)
            if found := complaint([program], rest):
                wrong.append((code.place, found))
    assert looked_at > 40
    assert wrong == []
    assert complaint(["kubectl"], ["rollout", "restrat", "x"]) == "kubectl rollout knows no restrat"
