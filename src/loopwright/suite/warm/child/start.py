"""How the modules of this folder get into a foreign interpreter: as one `-c` program that reads them, and its task, from stdin.

Nothing is written to the checkout and nothing needs to be installed or mounted there.
"""

import json
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PROGRAM", "message"]

_MODULES = {
    "trace": ("common", "tracers", "trace"),
    "screen": ("common", "zygote", "screen"),
    "serve": (
        *("common", "zygote", "channel", "forked", "bodies", "calls", "swap", "tidy", "codes", "lead", "runs"),
        *("collected", "settled", "session", "late", "serve"),
    ),
}
"""What each program consists of, in an order in which each only needs what stands before it."""

PROGRAM = """
import json, sys, types
sent = json.loads(sys.stdin.buffer.read())
package = types.ModuleType("_loopwright_child")
package.__path__ = []
sys.modules[package.__name__] = package
for name, text in sent["modules"]:
    module = types.ModuleType(package.__name__ + "." + name)
    module.__package__ = package.__name__
    sys.modules[module.__name__] = module
    exec(compile(text, "<" + module.__name__ + ">", "exec"), module.__dict__)
sys.modules[package.__name__ + "." + sent["main"]].main(sent["settings"])
"""


def message(main: str, settings: Mapping[str, object]) -> bytes:
    """What `PROGRAM` reads: `main` is the module of this folder whose `main(settings)` is called; `settings` must be JSON."""
    here = Path(__file__).parent
    modules = [(name, (here / f"{name}.py").read_text("utf-8")) for name in _MODULES[main]]
    return json.dumps({"modules": modules, "main": main, "settings": settings}).encode()
