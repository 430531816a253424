"""The command line `xnathub`: one module a command, each imported only when it runs."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from xnathub_conf import __version__
from xnathub_conf.cli.arguments import Overview, file_argument, site_argument, warning_rule
from xnathub_conf.cli.deploying import add_apply
from xnathub_conf.cli.operating import add_operating_commands
from xnathub_conf.site.kinds import kinds, named


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command with its arguments (those of the process by default), and give its exit code.

    0 is success, 1 a problem that was found, 2 a command that could not be carried out.
    """
    parser = command_line()
    options = parser.parse_args(arguments)
    if "run" not in options:
        parser.print_help()
        return 0
    try:
        return int(options.run(options))
    except ModuleNotFoundError as error:
        if find_spec("jupyterhub") and options.extra == "hub":
            raise
        print(
            f"This command needs {error.name}, which is not installed: pip install 'xnathub[{options.extra}]'",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        return 0


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Overview(prog="xnathub", description="One site.yaml becomes a JupyterHub for XNAT.")
    parser.set_defaults(extra="hub")
    parser.add_argument("--version", action="version", version=f"xnathub {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=argparse.ArgumentParser)

    validate = commands.add_parser("validate", help="check site files and say everything that is wrong")
    file_argument(
        validate, "files", nargs="+", help="files, patterns such as 'sites/*.yaml', or - for standard input"
    )
    validate.add_argument("--strict", action="store_true", help="take warnings for errors")
    validate.add_argument(
        "--secrets", action="store_true", help="check too that secrets and certificates can be read here"
    )
    validate.add_argument(
        "--format",
        choices=["text", "json", "github", "sarif"],
        default="text",
        help="how to report (default: text)",
    )
    validate.add_argument(
        "--ignore",
        action="append",
        type=warning_rule,
        default=[],
        metavar="RULE",
        help="leave out warnings of this rule; may be given more than once",
    )
    validate.set_defaults(run=_validate)

    fix = commands.add_parser("fix", help="mend in site files what has one sure remedy")
    file_argument(fix, "files", nargs="+", help="site files, which are rewritten in place")
    fix.add_argument(
        "--check", action="store_true", help="write nothing, and end with 1 where there is something to mend"
    )
    fix.set_defaults(run=_fix)

    show = commands.add_parser("show", help="list what a site decides of JupyterHub, with lines")
    site_argument(show)
    show.add_argument("--json", action="store_true", help="write JSON")
    show.set_defaults(run=_show)

    diff = commands.add_parser(
        "diff",
        help="say what a change changes, and what to do after it",
        description="Say what a change changes, and what to do after it. Ends with 0 where nothing changes, 1 where "
        "something does, 2 where a file is not valid.",
    )
    file_argument(diff, "old", help="the site file before, or - for standard input")
    file_argument(diff, "new", help="the site file after, or -")
    diff.add_argument(
        "--format",
        choices=["text", "json", "markdown"],
        default="text",
        help="how to report (default: text); markdown is for a pull request",
    )
    diff.set_defaults(run=_diff)

    schema = commands.add_parser("schema", help="print the JSON Schema of site.yaml")
    schema.set_defaults(run=_schema)

    init = commands.add_parser("init", help="write a small site.yaml to begin with")
    file_argument(init, nargs="?", default="site.yaml", help="where to (default: site.yaml)")
    init.add_argument("--xnat-url", metavar="URL", help="XNAT's address")
    init.add_argument("--public-url", metavar="URL", help="the hub's address for browsers")
    init.add_argument("--image", metavar="IMAGE", help="an image, or a pattern, that XNAT may ask for")
    init.add_argument("--orchestrator", choices=list(kinds()), help="what runs the servers")
    for flag, what in (
        ("--uid", "the user that XNAT's Tomcat runs as"),
        ("--gid", "its group"),
        ("--docker-gid", "the group of Docker's socket"),
    ):
        init.add_argument(flag, type=int, metavar="ID", help=f"{what} (default: as found here)")
    init.add_argument("--example", action="store_true", help="write example addresses, to change later")
    init.add_argument("--force", action="store_true", help="write over a file that exists")
    init.set_defaults(run=_init)

    migrate = commands.add_parser(
        "migrate",
        help="write site.yaml from the reference deployment's files",
        # The one that argparse makes would take a quarter of a small terminal.
        usage="xnathub migrate [OPTION ...] FILE [FILE ...]",
        description="Write a site file and its secrets from a compose or stack file, env files, Helm values or a jupyterhub_config.py.",
    )
    file_argument(migrate, "files", nargs="+", help="compose file, env file, values or .py; later win")
    file_argument(migrate, "--env-file", action="append", default=[], help="as compose's (default: .env)")
    migrate.add_argument("--service", metavar="NAME", help="the hub's service, if not plain")
    file_argument(migrate, "--output", default="site.yaml", help="the site file to write")
    migrate.add_argument("--secrets-dir", default="secrets", metavar="DIR", help="where secrets are written")
    migrate.add_argument("--secrets-path", metavar="DIR", help="where the hub will find them")
    migrate.add_argument("--public-url", metavar="URL", help="XNAT's address for browsers")
    migrate.add_argument(
        "--xnat-url", metavar="URL", help="XNAT's address for the hub, if the files don't say"
    )
    migrate.add_argument("--image", metavar="IMAGE", action="append", default=[], help="image to allow")
    file_argument(migrate, "--without-hub", help="write the file without the hub, and its patch")
    migrate.add_argument("--dry-run", action="store_true", help="write nothing, only say what would be done")
    form = migrate.add_mutually_exclusive_group()
    form.add_argument("--format", choices=["text", "markdown", "json"], default="text", help="of the report")
    form.add_argument(
        "--json", dest="format", action="store_const", const="json", help="short for --format json"
    )
    migrate.add_argument("--force", action="store_true", help="write over files that exist")
    migrate.set_defaults(run=_migrate)

    render = commands.add_parser("render", help="write what Swarm, Docker or Kubernetes deploys a site from")
    targets = render.add_subparsers(metavar="ORCHESTRATOR", required=True)
    for kind in kinds().values():
        if kind.rendered:
            target = targets.add_parser(kind.key, help=kind.rendered.help)
            site_argument(target)
            named(kind.rendered.arguments)(target)
            target.set_defaults(run=_render, renderer=kind.rendered.renderer)

    add_apply(commands)
    add_operating_commands(commands)

    plugin = commands.add_parser("plugin", help="say what to enter into XNAT's Jupyter settings for a site")
    site_argument(plugin)
    form = plugin.add_mutually_exclusive_group()
    form.add_argument(
        "--format",
        choices=["table", "env", "json"],
        default="table",
        help="how: for XNAT's page, or as variables of XNAT's Tomcat (default: table)",
    )
    form.add_argument(
        "--json", dest="format", action="store_const", const="json", help="short for --format json"
    )
    now = plugin.add_mutually_exclusive_group()
    now.add_argument(
        "--current",
        metavar="ENV",
        help="a file of those variables as they are: say what contradicts the site",
    )
    now.add_argument("--xnat", action="store_true", help="ask XNAT what it is set to, for the same")
    plugin.set_defaults(run=_plugin)

    run = commands.add_parser("run", help="check a site file and start its hub")
    site_argument(run)
    run.set_defaults(run=_run)

    demo = commands.add_parser("demo", help="try everything on this machine: a stand-in XNAT, a hub, Jupyter")
    demo.add_argument(
        "--xnat-port", type=int, metavar="PORT", help="the stand-in XNAT's port (default: 8080)"
    )
    demo.add_argument("--hub-port", type=int, metavar="PORT", help="the hub's port (default: 8000)")
    demo.add_argument(
        "--address",
        metavar="HOST",
        help="this machine's address for others, who can then sign in too (default: localhost, or Docker's bridge)",
    )
    where = demo.add_mutually_exclusive_group()
    where.add_argument(
        "--docker", action="store_true", help="run hub and servers as containers of this machine's Docker"
    )
    where.add_argument(
        "--kubernetes",
        nargs="?",
        const="",
        metavar="CONTEXT",
        help="run hub and servers as pods of a cluster on this machine (default: kubectl's current context)",
    )
    demo.set_defaults(run=_demo, extra="demo")

    completion = commands.add_parser("completion", help="print a script that completes arguments")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell that reads the script")
    completion.set_defaults(run=_completion)
    return parser


def _validate(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.validate import validate

    return validate(
        options.files,
        strict=options.strict,
        secrets=options.secrets,
        report_format=options.format,
        ignore=options.ignore,
    )


def _fix(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.fix import fix

    return fix(options.files, check=options.check)


def _show(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.show import show

    return show(options.file, as_json=options.json)


def _diff(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.diff import diff

    return diff(options.old, options.new, report_format=options.format)


def _schema(_options: argparse.Namespace) -> int:
    from xnathub_conf.site.schema import schema_text

    print(schema_text(), end="")
    return 0


def _init(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.init import Answers, init

    named = {field.name: getattr(options, field.name) for field in dataclasses.fields(Answers)}
    answers = Answers(**named)
    return init(options.file, answers, force=options.force)


def _migrate(options: argparse.Namespace) -> int:
    import os

    from xnathub_conf.cli.migrate import Options, migrate

    named = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(Options)
        if field.name in options
    }
    return migrate(Options(env_files=options.env_file, images=options.image, **named), os.environ)


def _render(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.render import render

    return render(options.file, named(options.renderer)(options))


def _plugin(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.plugin import plugin

    return plugin(options.file, options.format, current=options.current, ask_xnat=options.xnat)


def _run(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.run import run

    return run(options.file)


def _demo(options: argparse.Namespace) -> int:
    from xnathub_conf.cli.demo import demo

    return demo(
        options.xnat_port,
        options.hub_port,
        options.address,
        docker=options.docker,
        kubernetes=options.kubernetes,
    )


def _completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(command_line(), options.shell))
    return 0
