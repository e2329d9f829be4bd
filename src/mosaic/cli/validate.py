"""`mosaic validate`: every problem of every file, with its line and a suggestion."""

import sys
from pathlib import Path

import click

from mosaic.cli.output import json_line

__all__ = ["command"]


@click.command("validate")
@click.argument("targets", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "json_output", is_flag=True, help="One JSON line per problem, then a result line.")
def command(targets: tuple[Path, ...], json_output: bool) -> None:
    """Check workflow files, or folders that hold a workflow.yaml, and explain every problem at once.

    \b
    mosaic validate examples/fix-failing-test
    mosaic validate flows/*.yaml --json
    """  # noqa: D301
    from dataclasses import asdict

    from mosaic.app.requests import INSTALLED_TOOLS
    from mosaic.workflows import check, find_workflow, render_problems

    count = 0
    for target in targets:
        problems = check(find_workflow(target), tools=INSTALLED_TOOLS)
        count += len(problems)
        if json_output:
            for problem in problems:
                json_line({"type": "problem", **asdict(problem)})
        elif problems:
            click.echo(render_problems(problems), err=True)
        else:
            click.echo(f"{target}: valid")
    if json_output:
        json_line({"type": "result", "files": len(targets), "problems": count, "valid": count == 0})
    elif count:
        click.echo(f"{count} problem{'s' if count != 1 else ''}.", err=True)
    sys.exit(2 if count else 0)
