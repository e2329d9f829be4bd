"""A run, live: one line per thing that happens, for a person who watches."""

import json
from collections.abc import Callable
from typing import Any

import click

from mosaic.cli.output import note, plain, short_json, usd
from mosaic.core.values import JsonObject

__all__ = ["LiveView"]

_QUIET = frozenset({"agent.turn", "agent.handoff", "execution.succeeded"})


_SCRIPTED = (
    "  The model is SCRIPTED: its answers come from a file in the example, no AI is asked and nothing is paid.\n"
    "  Set ANTHROPIC_API_KEY or OPENAI_API_KEY, start Ollama, or pass --model to use a real one."
)


class LiveView:
    """Turns journal events into lines on stderr. Nesting shows as indentation by step depth."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._warned = False
        self._lines: dict[str, Callable[[JsonObject, JsonObject], str | None]] = {
            "run.created": self._created,
            "run.started": lambda _e, _d: None,
            "run.resumed": lambda _e, _d: click.style("↻ carries on", fg="cyan"),
            "run.reopened": lambda _e, _d: click.style("↻ tries again after it was given up", fg="cyan"),
            "run.workspace": lambda _e, d: plain(f"  working in {d.get('path')} on branch {d.get('branch')}"),
            "run.succeeded": lambda _e, _d: None,
            "run.failed": lambda _e, _d: None,
            "run.cancelled": lambda _e, _d: None,
            "step.started": self._step("●", "cyan", "kind"),
            "step.completed": self._step("✓", "green", "duration_ms"),
            "step.failed": self._failed,
            "step.skipped": self._step("-", "bright_black", "reason"),
            "step.retrying": self._retry,
            "retry": self._retry,
            "model.called": self._model,
            "model.failed": self._trouble("model"),
            "tool.called": self._tool,
            "tool.failed": self._tool_failed,
            "tool.denied": self._trouble("refused"),
            "agent.message": self._said,
            "handoff.made": lambda _e, d: click.style(
                plain(f"→ {d.get('from')} hands over to {d.get('to')}"), fg="cyan"
            ),
            "step.caught": lambda _e, d: click.style(
                plain(f"↷ caught {d.get('code')}: {d.get('then')}"), fg="yellow"
            ),
            "step.compensating": lambda _e, d: click.style(plain(f"↶ undoes {d.get('name')}"), fg="yellow"),
            "budget.extended": lambda _e, d: f"+ budget raised by {usd(d.get('usd'))}",
            "approval.requested": self._asked,
            "approval.voted": self._voted,
            "approval.decided": self._decided,
            "approval.expired": self._decided,
            "artifact.stored": lambda _e, d: plain(f"▤ kept {d.get('name')} ({d.get('size_bytes')} bytes)"),
            "run.committed": lambda _e, d: plain(
                f"⎇ commit {str(d.get('sha', ''))[:10]} on {d.get('branch')}"
            ),
        }

    def show(self, event: JsonObject) -> None:
        """Print the line of one event, if it has one."""
        kind = str(event["type"])
        make = self._lines.get(kind)
        data: JsonObject = event.get("data") or {}
        if make is None:
            if self._verbose and kind not in _QUIET:
                note(self._indent(event) + click.style(f"· {kind} {short_json(data)}", dim=True))
            return
        line = make(event, data)
        if line:
            note(self._indent(event) + line)

    @staticmethod
    def _indent(event: JsonObject) -> str:
        path = str(event.get("path") or "")
        return "  " * (path.count("/") + (0 if str(event["type"]).startswith(("step.", "run.")) else 1))

    @staticmethod
    def _created(event: JsonObject, data: JsonObject) -> str:
        return click.style(f"▶ {data.get('workflow')} ", bold=True) + click.style(
            str(event.get("run_id")), dim=True
        )

    @staticmethod
    def _said(_event: JsonObject, data: JsonObject) -> str | None:
        text = short_json(data.get("text") or "", limit=300)
        return f"“{text}” {click.style(str(data.get('agent') or ''), dim=True)}" if text else None

    @staticmethod
    def _step(mark: str, colour: str, detail: str) -> Callable[[JsonObject, JsonObject], str]:
        def line(event: JsonObject, data: JsonObject) -> str:
            name = str(event.get("path") or "").rsplit("/", 1)[-1]
            extra: Any = data.get(detail)
            if detail == "duration_ms" and extra is not None:
                extra = f"{float(extra) / 1000:.1f} s"
            who = f" {data['agent']}" if data.get("agent") else ""
            return click.style(f"{mark} {name}", fg=colour) + click.style(
                f"{who} {extra or ''}".rstrip(), dim=True
            )

        return line

    @staticmethod
    def _failed(event: JsonObject, data: JsonObject) -> str:
        name = str(event.get("path") or "").rsplit("/", 1)[-1]
        error: JsonObject = data.get("error") or {}
        return (
            click.style(f"✗ {name} ", fg="red")
            + f"{error.get('code', '')}: {short_json(error.get('message', ''), limit=300)}"
        )

    @staticmethod
    def _retry(_event: JsonObject, data: JsonObject) -> str:
        left = f", {data['budget_left']} retries left in this run" if "budget_left" in data else ""
        reason = data.get("reason") or data.get("error") or ""
        return click.style(f"↻ tries again ({short_json(reason, limit=160)}{left})", fg="yellow")

    def _model(self, _event: JsonObject, data: JsonObject) -> str:
        if data.get("scripted") and not self._warned:
            self._warned = True
            note(click.style(_SCRIPTED, fg="yellow"))
        cost = data.get("usd")
        tokens = f"{data.get('input_tokens', '?')} → {data.get('output_tokens', '?')} tokens"
        price = usd(cost) if cost is not None else "no price known"
        model = f" ({data['model']})" if data.get("model") and not data.get("scripted") else ""
        return click.style(f"◦ {data.get('agent') or 'model'}{model}: {tokens}, {price}", dim=True)

    @staticmethod
    def _tool(_event: JsonObject, data: JsonObject) -> str:
        arguments = short_json(data.get("arguments", {}), limit=90)
        return f"⚒ {plain(str(data.get('tool')))} {click.style(arguments, dim=True)}"

    @staticmethod
    def _tool_failed(_event: JsonObject, data: JsonObject) -> str:
        arguments = short_json(data.get("arguments", {}), limit=90)
        why = short_json(_why(data), limit=200)
        return (
            click.style(f"! {plain(str(data.get('tool')))} ", fg="yellow")
            + click.style(f"{arguments} ", dim=True)
            + click.style(why, fg="yellow")
        )

    @staticmethod
    def _trouble(noun: str) -> Callable[[JsonObject, JsonObject], str]:
        def line(_event: JsonObject, data: JsonObject) -> str:
            error = data.get("error")
            said = error or data.get("result") or data.get("reason") or ""
            text = error.get("message", "") if isinstance(error, dict) else said
            what = plain(str(data.get("tool") or data.get("model") or ""))
            return click.style(f"! {noun} {what}: {short_json(text, limit=240)}", fg="yellow")

        return line

    @staticmethod
    def _asked(_event: JsonObject, data: JsonObject) -> str:
        title = short_json(str(data.get("title") or ""), limit=200)
        return click.style(f"? {title} ", fg="yellow", bold=True) + click.style(
            str(data.get("approval")), dim=True
        )

    @staticmethod
    def _voted(_event: JsonObject, data: JsonObject) -> str:
        counted = f"{data.get('yes')} of {data.get('quorum')} said yes, {data.get('no')} no"
        return click.style(f"  {plain(str(data.get('by')))} has answered: {counted}", fg="yellow")

    @staticmethod
    def _decided(_event: JsonObject, data: JsonObject) -> str:
        by = f" by {data['by']}" if data.get("by") else ""
        return click.style(
            f"{'✓' if data.get('status') == 'approved' else '✗'} {data.get('status')}{by}", fg="yellow"
        )


def _why(data: JsonObject) -> str:
    """Return why a tool failed: its error, or a command's exit code and the last thing it said."""
    error = data.get("error")
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code"))
    result = data.get("result")
    if isinstance(result, str):
        try:
            result = json.loads(result)
        except ValueError:
            return str(result)
    if isinstance(result, dict) and "exit_code" in result:
        said = (str(result.get("stderr") or "") or str(result.get("stdout") or "")).strip().splitlines()
        return f"exit code {result['exit_code']}" + (f": {said[-1]}" if said else "")
    return short_json(result, limit=200)
