"""LangGraph with its SQLite checkpointer: `STEPS` super-steps of a node that counts. Prints one JSON object.

Usage: langgraph_sqlite.py DIR STEPS
"""

import json
import sqlite3
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph


class Count(TypedDict):
    n: int
    until: int


def main(folder: Path, steps: int) -> None:
    connection = sqlite3.connect(folder / "langgraph.db", check_same_thread=False)
    saver = SqliteSaver(connection)
    saver.setup()
    graph = StateGraph(Count)
    graph.add_node("step", lambda state: {"n": state["n"] + 1})
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["n"] < state["until"] else END)
    app = graph.compile(checkpointer=saver)

    def run(thread: str, count: int) -> None:
        config = {"configurable": {"thread_id": thread}, "recursion_limit": count + 10}
        # Each step is on disk before the next begins, as in the journal.
        end = app.invoke({"n": 0, "until": count}, config, durability="sync")
        assert end["n"] == count

    run("warm-up", 50)
    wall, cpu = time.perf_counter(), time.process_time()
    run("measured", steps)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        json.dumps(
            {
                "name": f"LangGraph {version('langgraph')} + SqliteSaver",
                "steps": steps,
                "wall_s": wall,
                "cpu_s": cpu,
                "journal_mode": connection.execute("PRAGMA journal_mode").fetchone()[0],
                "synchronous": connection.execute("PRAGMA synchronous").fetchone()[0],
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
