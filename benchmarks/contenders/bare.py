"""The floor: one prepared INSERT and its commit per step, through the plain driver. Prints one JSON line."""

import json
import sqlite3
import sys
import time

import psycopg

PAYLOAD = json.dumps({"text": "All tests pass. " * 18})


def sqlite(path: str, steps: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, value TEXT)")
    for _ in range(steps):
        connection.execute("INSERT INTO bare (value) VALUES (?)", (PAYLOAD,))
    connection.close()


def postgres(url: str, steps: int) -> None:
    with psycopg.connect(url, autocommit=True, prepare_threshold=1) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bare (id BIGSERIAL PRIMARY KEY, value TEXT)")
        for _ in range(steps):
            connection.execute("INSERT INTO bare (value) VALUES (%s)", (PAYLOAD,))


def main() -> None:
    database, target, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    run = sqlite if database == "sqlite" else postgres
    run(target, 20)  # the table, the first pages, the prepared statement
    wall, cpu = time.perf_counter(), time.process_time()
    run(target, steps)
    print(
        json.dumps({"steps": steps, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu})
    )


main()
