"""The arguments of the commands for a hub that runs."""

import argparse
import sys
from typing import Any

from xnathub_conf.cli.arguments import file_argument, site_argument


def add_operating_commands(commands: Any) -> None:
    """Add them to the subparsers of the command line."""
    doctor = commands.add_parser("doctor", help="try the real things that a site needs, and say what to do")
    site_argument(doctor)
    doctor.add_argument("--user", metavar="NAME", help="try too what XNAT would start for this user")
    doctor.add_argument(
        "--server", default="", metavar="NAME", help="their server of that name (else the default)"
    )
    doctor.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="CHECK",
        help="leave out a check, or a subject; as often as wanted",
    )
    doctor.add_argument("--start", metavar="PROJECT", help="start a real server on it as --user, and stop it")
    doctor.add_argument("--password", metavar="FILE", help="theirs in XNAT (else XNATHUB_TEST_PASSWORD)")
    doctor.add_argument("--load", type=int, default=0, metavar="N", help="then start N of them at once")
    doctor.add_argument("--against", metavar="OLD", help="compare with the old hub at this address")
    doctor.add_argument(
        "--against-token", metavar="FILE", help="holds its token (else XNATHUB_AGAINST_TOKEN)"
    )
    doctor.add_argument("--json", action="store_true", help="write JSON, at the end")
    doctor.set_defaults(run=_doctor)

    backup = commands.add_parser(
        "backup",
        help="keep a copy of what the hub knows, while it runs",
        description="Write the hub's database, its cookie secret and the site file into one archive. Run it where the hub "
        "runs: in its container, or in its folder. The secrets that the site file names are not in it.",
    )
    site_argument(backup)
    file_argument(
        backup, "--output", "-o", required=True, help="the archive to write, or - for standard output"
    )
    backup.set_defaults(run=_backup)

    restore = commands.add_parser(
        "restore",
        help="put such a copy back",
        description="Put a backup in the place of the hub's database and cookie secret. Run it where the hub runs. A hub "
        "that runs on SQLite meanwhile takes the backup at its next start.",
    )
    site_argument(restore)
    file_argument(
        restore, "--input", "-i", required=True, help="the archive to read, or - for standard input"
    )
    restore.set_defaults(run=_restore)

    support = commands.add_parser(
        "support",
        help="gather what helps somebody else to help, without names",
        description="Write versions, the site without secrets, doctor's findings, the engine's state and logs into one "
        "archive. Names of users, projects and data become numbers in it. Run it where the hub runs.",
    )
    site_argument(support)
    file_argument(
        support, "--output", "-o", required=True, help="the archive to write, or - for standard output"
    )
    file_argument(
        support,
        "--log",
        action="append",
        default=[],
        help="a log to add, or - for standard input; as often as wanted",
    )
    support.set_defaults(run=_support)

    upgrade = commands.add_parser(
        "upgrade",
        help="say what this version would change for a site",
        description="Say what this version of xnathub would change for a site that an older one runs: of its file, its "
        "database, which is upgraded as a copy, and its users' images. Nothing is changed.",
    )
    site_argument(upgrade)
    upgrade.add_argument(
        "--check", action="store_true", required=True, help="only look, which is all there is"
    )
    file_argument(
        upgrade, "--backup", help="look at this backup, or jupyterhub.sqlite, not at the hub's own database"
    )
    upgrade.add_argument("--json", action="store_true", help="write JSON, at the end")
    upgrade.set_defaults(run=_upgrade)


def _doctor(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.doctor import Against, Started, doctor

    if (options.start and not options.user) or (options.load and not options.start):
        needed = "--user NAME" if options.start else "--start PROJECT"
        print(f"This needs {needed} too: see xnathub doctor --help.", file=sys.stderr)
        return 2
    start = Started(options.start, options.password, options.load) if options.start else None
    against = Against(options.against, options.against_token) if options.against else None
    whose = {"user": options.user, "server": options.server}
    return doctor(
        options.file, **whose, skip=options.skip, as_json=options.json, against=against, start=start
    )


def _backup(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.backup import backup

    return backup(options.file, options.output)


def _restore(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.backup import restore_from

    return restore_from(options.file, options.input)


def _support(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.support import support

    return support(options.file, options.output, options.log)


def _upgrade(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.upgrade import upgrade

    return upgrade(options.file, backup=options.backup, as_json=options.json)
