"""LangGraph: one node after the other under its checkpointer, durability "sync". Prints one JSON line.

Runs in an environment of its own (requirements/bench.lock). `mode` is ``sync`` or ``async``.
"""

import asyncio
import json
import sys
import time
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

TEXT = "All tests pass. " * 18


class State(TypedDict):
    number: int
    count: int
    text: str


def node(state: State) -> dict[str, Any]:
    return {"number": state["number"] + 1, "text": TEXT}


async def anode(state: State) -> dict[str, Any]:
    return {"number": state["number"] + 1, "text": TEXT}


def graph(function: Any, checkpointer: Any) -> Any:
    made = StateGraph(State)
    made.add_node("step", function)
    made.add_edge(START, "step")
    made.add_conditional_edges(
        "step", lambda state: "step" if state["number"] < state["count"] else END, ["step", END]
    )
    return made.compile(checkpointer=checkpointer)


def options(thread: str, steps: int) -> dict[str, Any]:
    return {
        "config": {"configurable": {"thread_id": thread}, "recursion_limit": steps + 10},
        "durability": "sync",
    }


def report(steps: int, wall: float, cpu: float) -> None:
    line = {"steps": steps, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps(line), flush=True)


def run_sync(database: str, target: str, steps: int) -> None:
    if database == "postgres":
        from langgraph.checkpoint.postgres import PostgresSaver as Saver
    else:
        from langgraph.checkpoint.sqlite import SqliteSaver as Saver
    with Saver.from_conn_string(target) as saver:
        saver.setup()
        compiled = graph(node, saver)
        compiled.invoke({"number": 0, "count": 20, "text": ""}, **options("warm-up", 20))
        wall, cpu = time.perf_counter(), time.process_time()
        compiled.invoke({"number": 0, "count": steps, "text": ""}, **options("measured", steps))
        report(steps, wall, cpu)


async def run_async(database: str, target: str, steps: int) -> None:
    if database == "postgres":
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver as Saver
    else:
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver as Saver
    async with Saver.from_conn_string(target) as saver:
        await saver.setup()
        compiled = graph(anode, saver)
        await compiled.ainvoke({"number": 0, "count": 20, "text": ""}, **options("warm-up", 20))
        wall, cpu = time.perf_counter(), time.process_time()
        await compiled.ainvoke({"number": 0, "count": steps, "text": ""}, **options("measured", steps))
        report(steps, wall, cpu)


if sys.argv[4] == "sync":
    run_sync(sys.argv[1], sys.argv[2], int(sys.argv[3]))
else:
    asyncio.run(run_async(sys.argv[1], sys.argv[2], int(sys.argv[3])))
