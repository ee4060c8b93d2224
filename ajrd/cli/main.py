"""The entry point ``ajrd``: a table of commands, each imported when it is called.

``ajrd status`` must start in a fraction of a second and must not pay for the web stack, so
nothing but click is imported here.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from ajrd import __version__
from ajrd.errors import AjrdError, ConfigError, RequestRefused
from ajrd.priority import priority

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Exit codes besides 0: what was asked for is not known; bad usage; service or store away; the
#: leader has refused a request.
UNKNOWN, USAGE, UNREACHABLE, REFUSED = 1, 2, 3, 4

_COMMANDS = {
    "abandon": ("ajrd.cli.ask", "abandon", "Give up what was decided on a job."),
    "completion": ("ajrd.cli.completion", "completion", "Print the completion of a shell."),
    "config": ("ajrd.cli.config", "config", "Check the configuration."),
    "db": ("ajrd.cli.db", "db", "Look after the database: check, upgrade, prune."),
    "doctor": ("ajrd.cli.doctor", "doctor", "Look at everything that the service needs."),
    "efficiency": ("ajrd.cli.efficiency", "efficiency", "What time and GPU-hours were spent on."),
    "events": ("ajrd.cli.events", "events", "Show the audit trail."),
    "explain": ("ajrd.cli.explain", "explain", "Explain why ajrd acted on a job, or did not."),
    "history": ("ajrd.cli.history", "history", "List attempts: what broke, what was decided."),
    "hooks": ("ajrd.cli.hooks", "hooks", "Install, remove and try the hooks that Slurm runs."),
    "list": ("ajrd.cli.list", "list_jobs", "List the jobs that ajrd knows."),
    "loki": ("ajrd.cli.loki", "loki", "Look at the Loki that logs are shipped to."),
    "man": ("ajrd.cli.man", "man", "Write the manual pages."),
    "nodes": ("ajrd.cli.nodes", "nodes", "List the nodes that broken attempts point at."),
    "pause": ("ajrd.cli.ask", "pause", "Do nothing to a job until it is resumed."),
    "release": ("ajrd.cli.ask", "release", "Release a job that ajrd holds."),
    "report": ("ajrd.cli.report", "report", "Compare observe mode with what people did."),
    "requeue": ("ajrd.cli.ask", "requeue", "Requeue a job now, whatever its logs say."),
    "resume": ("ajrd.cli.ask", "resume", "Look after a paused job again."),
    "rules": ("ajrd.cli.rules", "rules", "Check, list, show and try the rules of the catalogue."),
    "run": ("ajrd.cli.run", "run", "Run the service in the foreground."),
    "scan": ("ajrd.cli.scan", "scan", "Say what broke in a log, offline."),
    "setup": ("ajrd.cli.setup", "setup", "Set up the service on this head node."),
    "status": ("ajrd.cli.status", "status", "Show a job: attempts, anomalies, decisions."),
    "uninstall": ("ajrd.cli.uninstall", "uninstall", "Take back what setup has made on this host."),
    "watchdog": ("ajrd.cli.watchdog", "watchdog", "Release what a dead ajrd has left held."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name, _help = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names without their modules: who presses the tabulator does not want to wait."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        names = (name for name in sorted(_COMMANDS) if name.startswith(incomplete))
        return [CompletionItem(name, help=_COMMANDS[name][2]) for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][2]) for name in sorted(_COMMANDS)])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ajrd")
def cli() -> None:
    """Autonomous job recovery for Slurm."""


def _complain(error: AjrdError) -> None:
    click.echo(f"{priority('error')}ajrd: {error}", err=True)


def main() -> NoReturn:
    """Runs the command line; errors of ajrd become one clear message and an exit code."""
    try:
        cli.main(prog_name="ajrd", standalone_mode=True)
    except ConfigError as error:
        _complain(error)
        sys.exit(USAGE)
    except RequestRefused as error:
        _complain(error)
        sys.exit(REFUSED)
    except AjrdError as error:
        _complain(error)
        sys.exit(UNREACHABLE)
