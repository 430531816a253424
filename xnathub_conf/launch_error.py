"""Launches that end before a server runs: what the user reads, and what the admin finds in the log."""

from html import escape

from jupyterhub.spawner import SpawnException


class LaunchFailed(SpawnException):
    """A launch was refused or failed. The user sees `message` and `advice`; the log line holds them and `detail`.

    `reason` is a short label for JupyterHub's metrics, `link` a page's address with the text to show for it.
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
    ):
        text = f"{message} {advice}".strip()
        html = escape(text)
        if link:
            html += f' <a href="{escape(link[0])}">{escape(link[1])}</a>'
        super().__init__(
            text, reason=reason, log_message=f"{text} {detail}".strip(), message_html=html, status_code=status
        )
        # The pages of the hub show these two and no other text of an exception.
        self.jupyterhub_message = text
        self.jupyterhub_html_message = html
