"""Docker's commands on the pages are ones that its client knows, with the options that they show."""

from tests.docs.pages import commands, complaint


def test_docker_knows_the_commands_of_the_pages(engine):
    calls = [(code.place, words) for code, words in commands("docker") if words and words[0].isalpha()]
    assert len(calls) > 50
    wrong = []
    for place, words in calls:
        # Debian's docker-compose has the commands of `docker compose`, but not all of their options.
        compose = words[0] == "compose"
        if found := complaint(["docker-compose"], words[1:2]) if compose else complaint(["docker"], words):
            wrong.append((place, found))
    assert wrong == []
    assert complaint(["docker"], ["service", "lgs", "hub"]) == "docker service knows no lgs"
    assert (
        complaint(["docker"], ["service", "logs", "--fellow", "hub"])
        == "docker service logs knows no --fellow"
    )
