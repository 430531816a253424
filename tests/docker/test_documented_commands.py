"""Docker's commands on the pages are ones that its client knows, with the options that they show."""

from tests.docs.pages import commands, complaint


def test_docker_knows_the_commands_of_the_pages(engine):
    calls = [(code.place, words) for code, words in commands("docker") if words and words[0].isalpha()]
    assert len(calls) > 50
    wrong = []
    for place, words in calls:
        if words[0] == "compose":
            found = complaint(["docker-compose"], words[1:])
        else:
            found = complaint(["docker"], words)
        # Debian's docker-compose is older than `docker compose`.
        if found and found != "docker-compose logs knows no --since":
            wrong.append((place, found))
    assert wrong == []
    assert complaint(["docker"], ["service", "lgs", "hub"]) == "docker service knows no lgs"
    assert (
        complaint(["docker"], ["service", "logs", "--fellow", "hub"])
        == "docker service logs knows no --fellow"
    )
