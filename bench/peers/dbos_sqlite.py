"""DBOS on SQLite, in WAL mode as the journal is: one workflow of `STEPS` steps that count. Prints one JSON object.

Usage: dbos_sqlite.py DIR STEPS
"""

import json
import sqlite3
import sys
import time
from importlib.metadata import version
from pathlib import Path

from dbos import DBOS, SetWorkflowID


@DBOS.step()
def step(n: int) -> int:
    return n + 1


@DBOS.workflow()
def count(steps: int) -> int:
    n = 0
    for _ in range(steps):
        n = step(n)
    return n


def main(folder: Path, steps: int) -> None:
    database = folder / "dbos.db"
    # The mode stays with the file. DBOS's own default (DELETE) is several times slower; this is its better side.
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{database}", "log_level": "ERROR"})
    DBOS.launch()
    with SetWorkflowID("warm-up"):
        count(50)
    wall, cpu = time.perf_counter(), time.process_time()
    with SetWorkflowID("measured"):
        assert count(steps) == steps
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with sqlite3.connect(database) as connection:
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    DBOS.destroy()
    print(
        json.dumps(
            {
                "name": f"DBOS {version('dbos')} on SQLite, WAL",
                "steps": steps,
                "wall_s": wall,
                "cpu_s": cpu,
                "journal_mode": mode,
                "synchronous": synchronous,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
