"""What the nodes in processes of their own can run."""

import asyncio
import os
import signal
from pathlib import Path

from mosaic.core.values import JsonValue
from mosaic.engine import EffectCall, Execution, Handler, Outcome, Safety
from mosaic.events import NewEvent


def note(execution: Execution, line: str) -> None:
    """Write down that something really happened, where a replay would be seen."""
    with Path(execution.input["notes"]).open("a") as file:
        file.write(line + "\n")


def exists(file: str) -> bool:
    """Say whether the test has made a file."""
    return Path(file).exists()


async def steps(execution: Execution) -> JsonValue:
    """Two parallel branches of three effects, with a pause that the test can end in between."""

    async def branch(name: str) -> JsonValue:
        effects = execution.effects.at(name)
        done = []
        for step in range(3):
            if step == 2 and name == "left":
                await execution.wait_signal("go")

            async def call(made: EffectCall, step: int = step) -> Outcome:
                note(execution, f"{name} {step}")
                result = {"branch": name, "step": step, "attempt": made.attempt}
                return Outcome(result, events=(NewEvent("step.done", {"branch": name, "step": step}),))

            done.append(await effects.effect(f"step{step}", call))
        return done

    left, right = await asyncio.gather(branch("left"), branch("right"))
    return {"left": left, "right": right, "attempt": execution.attempt}


async def crash(execution: Execution) -> JsonValue:
    """Ends its process in the middle of an effect, as often as it is told to."""

    async def call(made: EffectCall) -> Outcome:
        note(execution, f"call {made.idempotency_key}")
        if not exists(execution.input.get("until", "/nowhere")):
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome("survived")

    safety = Safety(execution.input.get("safety", "repeatable"))
    first = await execution.effects.remember("first", lambda: "kept")
    return [first, await execution.effects.effect("deadly", call, safety=safety)]


async def sleeper(execution: Execution) -> JsonValue:
    """Sleeps durably."""
    await execution.effects.emit(NewEvent("sleeper.began"))
    await execution.sleep("nap", execution.input["seconds"])
    note(execution, "awake")
    return execution.attempt


async def child_of_shell(execution: Execution) -> JsonValue:
    """Runs a program that would run for an hour, and ends it when cancelled."""

    async def call(_: EffectCall) -> Outcome:
        process = await asyncio.create_subprocess_exec("sleep", "3600", start_new_session=True)
        note(execution, str(process.pid))
        await execution.effects.at("shell").emit(NewEvent("shell.began", {"pid": process.pid}))
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Outcome(process.returncode)

    return await execution.effects.effect("shell", call)


async def writer(execution: Execution) -> JsonValue:
    """Records effects as fast as it can until it is told to stop."""
    number = 0
    while not exists(execution.input["until"]):
        number += 1

        async def call(_: EffectCall, number: int = number) -> Outcome:
            who = str(os.getpid())
            return Outcome(who, events=(NewEvent("written", {"number": number, "pid": os.getpid()}),))

        await execution.effects.effect(f"write{number}", call, safety=Safety.REPEATABLE)
    return number


async def parent(execution: Execution) -> JsonValue:
    """Calls `steps` as a child."""
    return await execution.call("child", "steps", execution.input)


async def parent_of_crash(execution: Execution) -> JsonValue:
    """Calls `crash` as a child."""
    return await execution.call("child", "crash", execution.input, path="agents/child")


HANDLERS: dict[str, Handler] = {
    "steps": steps,
    "crash": crash,
    "sleeper": sleeper,
    "child_of_shell": child_of_shell,
    "writer": writer,
    "parent": parent,
    "parent_of_crash": parent_of_crash,
}
