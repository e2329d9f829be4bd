"""Raw DBOS: one workflow, one async step after the other, tuned as its documentation advises. Prints one JSON line."""

import asyncio
import json
import sys
import time
from typing import Any

import sqlalchemy
from dbos import DBOS, SetWorkflowID

TEXT = "All tests pass. " * 18


def engine(database: str, target: str) -> sqlalchemy.Engine:
    if database == "postgres":
        return sqlalchemy.create_engine(
            target.replace("postgresql://", "postgresql+psycopg://"), pool_pre_ping=False
        )
    made = sqlalchemy.create_engine(f"sqlite:///{target}", connect_args={"timeout": 5})

    @sqlalchemy.event.listens_for(made, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    return made


@DBOS.step()
async def step(number: int) -> dict[str, Any]:
    return {"number": number, "text": TEXT}


@DBOS.workflow()
async def steps_in_turn(count: int) -> int:
    for number in range(count):
        await step(number)
    return count


async def main() -> None:
    database, target, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    DBOS(
        config={
            "name": "bench",
            "system_database_url": target if database == "postgres" else f"sqlite:///{target}",
            "system_database_engine": engine(database, target),
            "application_version": "bench",
            "log_level": "ERROR",
            "max_executor_threads": 32,
        }
    )
    DBOS.launch()
    with SetWorkflowID("warm-up"):
        await (await DBOS.start_workflow_async(steps_in_turn, 20)).get_result()
    wall, cpu = time.perf_counter(), time.process_time()
    with SetWorkflowID("measured"):
        await (await DBOS.start_workflow_async(steps_in_turn, steps)).get_result(polling_interval_sec=0.005)
    line = {"steps": steps, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps(line), flush=True)
    DBOS.destroy()


asyncio.run(main())
