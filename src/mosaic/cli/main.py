"""`mosaic`: the command group. A command's module is imported when the command is called, so that `--help` is instant.

Exit status: 0 done, 1 failed, 2 wrong usage or input, 3 waiting for an approval, 130 interrupted, 143
terminated.
"""

import errno
import gc
import importlib
import io
import os
import sys
import traceback
from pathlib import Path

import click

from mosaic import __version__
from mosaic.cli.output import show_error
from mosaic.core.errors import InvalidInput, MosaicError, StorageFull, Unavailable

__all__ = ["main"]

_DEBUG = "MOSAIC_DEBUG"
_COMPLETE = "_MOSAIC_COMPLETE"

_COMMANDS = {
    "init": ("mosaic.cli.init", "Prepare this folder: data folder, settings, owner token."),
    "up": ("mosaic.cli.up", "Start MosAIc on this machine and print its address."),
    "run": ("mosaic.cli.run", "Run a workflow and watch it."),
    "validate": ("mosaic.cli.validate", "Check workflow files and explain every problem."),
    "plan": ("mosaic.cli.plan", "Make, show, change, import and run plans: epics, features, stories, tasks."),
    "runs": ("mosaic.cli.runs", "List, show, watch, cancel, fork and read runs."),
    "approvals": ("mosaic.cli.approvals", "List, show and answer what waits for a person."),
    "tools": ("mosaic.cli.tools", "Add MCP servers, find tools, look at what changed, call one."),
    "providers": ("mosaic.cli.providers", "List, show, check and reload providers and their models."),
    "routes": ("mosaic.cli.routes", "List routes, explain where requests go, check and report on them."),
    "cache": ("mosaic.cli.cache", "See how often answers were known, forget them, bring them into memory."),
    "keys": ("mosaic.cli.keys", "Make, list, rotate and revoke the keys of clients of the gateway."),
    "budgets": ("mosaic.cli.budgets", "Set budgets, and see what is spent of them."),
    "cost": ("mosaic.cli.cost", "Show usage and cost, forecast, export, savings, prices."),
    "webhooks": ("mosaic.cli.webhooks", "Have addresses told of events; see and repeat deliveries."),
    "policy": ("mosaic.cli.policy", "Check, test and explain the policy for tool calls; revoke answers."),
    "agents": ("mosaic.cli.agents", "Show the agents, their load and their capacity."),
    "plugins": ("mosaic.cli.plugins", "List, show, check and write provider plugins."),
    "doctor": ("mosaic.cli.doctor", "Say what works here, what does not, and how to fix it."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the commands in the order a newcomer needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command."""
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = importlib.import_module(entry[0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        import difflib

        name = args[0] if args else ""
        if name and name not in _COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, _COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Commands: {', '.join(_COMMANDS)}."
            raise click.UsageError(f"There is no command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="mosaic")
@click.option(
    "--home", type=click.Path(path_type=Path), help="Data folder (default: nearest .mosaic, or MOSAIC_HOME)."
)
@click.pass_context
def group(ctx: click.Context, home: Path | None) -> None:
    """Plan and run software-delivery work with teams of AI agents.

    \b
    mosaic up                            start it, and see the example team at work
    mosaic run examples/fix-failing-test run a workflow here in the terminal
    mosaic runs watch RUN                follow a run, or carry on one that stopped
    mosaic approvals approve ID          answer what an agent asks

    \b
    Exit status: 0 done, 1 failed, 2 wrong usage or input, 3 waiting for an approval,
    130 interrupted, 143 terminated.
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines
    ctx.obj = home.absolute() if home else None


def main() -> None:
    """Run the command line and exit with its status."""
    # Loading makes a hundred thousand objects that stay: looking through them again and again is a sixth of a command.
    gc.set_threshold(100_000, 10, 10)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows another
    try:
        status = _run()
    except Exception as error:  # noqa: BLE001  # the door: every error becomes a message and a status
        status = _failed(error, json_output="--json" in sys.argv)
    except KeyboardInterrupt:
        status = _interrupted()
    sys.exit(status if isinstance(status, int) else 0)


def _run() -> object:
    if _COMPLETE in os.environ:
        return group.main(standalone_mode=False)
    # Not `group.main`: it takes a reader that goes away for a failure of ours.
    with group.make_context("mosaic", sys.argv[1:]) as ctx:
        return group.invoke(ctx)


def _failed(error: Exception, *, json_output: bool) -> int:
    """Say what went wrong and return the exit status."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.Abort):
        return _interrupted()
    if isinstance(error, click.ClickException):
        error.show()
        if json_output:
            show_error(InvalidInput(error.format_message()), json_output=True)
        return 2
    if isinstance(error, MosaicError):
        show_error(error, json_output=json_output)
        return 2 if isinstance(error, InvalidInput) else 1
    if isinstance(error, BrokenPipeError):
        # The reader of our output went away (`mosaic runs list | head`): nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, OSError):
        show_error(_of_system(error), json_output=json_output)
        return 1
    if os.environ.get(_DEBUG):
        traceback.print_exception(error)
    mistake = MosaicError(
        f"Something failed inside MosAIc: {type(error).__name__}: {error}",
        hint=f"{_DEBUG}=1 shows where; please report it.",
    )
    show_error(mistake, json_output=json_output)
    return 1


def _of_system(error: OSError) -> MosaicError:
    """Return the error of a file or disk in our own words."""
    said = f"{error.filename or 'A file of this installation'}: {error.strerror or error}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(said, hint="Free some space and try again; runs that were interrupted are saved.")
    return Unavailable(said, hint="Check that it exists, and its owner and mode. `mosaic doctor` says more.")


def _interrupted() -> int:
    click.echo("Interrupted.", err=True)
    return 130
