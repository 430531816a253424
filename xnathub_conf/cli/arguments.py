"""Arguments that several commands have."""

import argparse
from typing import Any

_FILES = {
    "bash": "_shtab_compgen_files",
    "zsh": "_files",
    "fish": "(__fish_complete_path (commandline -ct))",
}
"""How shells complete a file's name: shtab.FILE, without its import at each start."""


class Overview(argparse.ArgumentParser):
    """A parser whose help lists the commands alone, so that a small terminal shows them all; options stand in the usage."""

    def format_help(self) -> str:
        """Return the help."""
        text = super().format_help().partition("\noptions:")[0]
        return text.replace("positional arguments:\n  COMMAND\n", "commands:\n")


def site_argument(parser: argparse.ArgumentParser) -> None:
    """Add the site file, which is site.yaml where none is named."""
    file_argument(parser, nargs="?", default="site.yaml", help="the site file (default: site.yaml)")


def file_argument(parser: argparse.ArgumentParser, name: str = "file", *names: str, **options: Any) -> None:
    """Add an argument that shells complete with files."""
    metavar = name.upper() if name in {"old", "new"} else "FILE"
    argument: Any = parser.add_argument(name, *names, metavar=metavar, **options)
    argument.complete = _FILES


def warning_rule(name: str) -> str:
    """Return a rule's name where it is that of a warning. Raises ArgumentTypeError."""
    from xnathub_conf.site.rule_names import RULES

    warnings = [rule for rule in RULES if RULES[rule].severity == "warning"]
    if name not in warnings:
        what = "is an error, which can't be ignored" if name in RULES else "is no rule"
        raise argparse.ArgumentTypeError(f"{name} {what}; expected one of {', '.join(warnings)}")
    return name
