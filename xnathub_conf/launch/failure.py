"""Launches that end before a server runs: what the user reads, and what the admin finds in the log."""

import logging
from collections.abc import Sequence
from html import escape

from jupyterhub.spawner import SpawnException

ADMIN = "Tell your XNAT administrator."

LESS = "Ask for less in XNAT, or try again when others have stopped theirs."
"""What to do where nodes have what is asked for, and no room."""


class LaunchFailed(SpawnException):
    """A launch was refused or failed. The user sees `message` and `advice`; the log line holds them and `detail`.

    `reason` is a short label for JupyterHub's metrics, `link` a page's address with the text to show for it; `refused`
    says that a rule of the site forbids the launch. `sentence` is the message alone, `summary` it and the advice.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        advice: str = "",
        *,
        detail: str = "",
        link: tuple[str, str] | None = None,
        status: int = 400,
        refused: bool = False,
    ):
        text = f"{message} {advice}".strip()
        html = escape(text)
        if link:
            html += f' <a href="{escape(link[0])}">{escape(link[1])}</a>'
        super().__init__(text, reason=reason, message_html=html, status_code=status)
        self.refused = refused
        self.sentence, self.summary = message, text
        # The pages of the hub show these two and no other text of an exception.
        self.jupyterhub_message = text
        self.jupyterhub_html_message = html

        # One line tells of it, when the start ends. Tornado would write another with this.
        self._log_text, self.log_message = f"{text} {detail}".strip(), ""

    def with_log(self, lines: Sequence[str]) -> "LaunchFailed":
        """Return itself, with the last lines of the server's log below the text."""
        if lines:
            heading = "The last lines of the server's log:"
            self.jupyterhub_message += f"\n{heading}\n" + "\n".join(lines)
            self.jupyterhub_html_message += f" {heading} <pre>{escape(chr(10).join(lines))}</pre>"
            self._log_text += f" {heading} " + " | ".join(lines)
        return self

    def __str__(self) -> str:
        return f"{self.status_code} {self.reason}: {self._log_text}"


def ended_at_once(code: object, advice: str, why: str = "", said: str = "") -> LaunchFailed:
    """Return the failure of a server that ended with this exit code before it answered.

    `why` is a sentence of `why_ended`, `said` what the orchestrator adds.
    """
    more = f": {said.strip().rstrip('.')}" if said else ""
    because = f" {why}" if why else ""
    return LaunchFailed(
        "ended",
        f"The server ended as soon as it was started, with exit code {code}{more}.{because}",
        advice,
        status=502,
    )


def say_once() -> None:
    """Keep out of the log what repeats a launch's failure, which has a line of its own when it happens.

    JupyterHub's pages say it again with each look, and let go of tasks that end with it, for which asyncio shows a
    traceback.
    """
    logging.getLogger("JupyterHub").addFilter(_not_again)
    logging.getLogger("asyncio").addFilter(_not_of_a_task)


def _not_again(record: logging.LogRecord) -> bool:
    again = ("Error starting server ", "Previous spawn for ")
    return bool(record.exc_info) or not str(record.msg).startswith(again)


def _not_of_a_task(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], LaunchFailed))
