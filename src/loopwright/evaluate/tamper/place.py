"""Where a piece of code stands and what the statement around it does: the same words mean little in one place and much in another."""

import ast
from collections.abc import Iterable
from typing import Final

from loopwright.evaluate.tamper.code import aliases_of, dotted
from loopwright.evaluate.tamper.scene import Subject

__all__ = ["asks", "local_aliases", "looks_at_callers", "place_of", "raised", "reads"]

_MAINS: Final = (
    "main",
    "cli",
    "run",
    "console",
    "command",
    "usage",
    "die",
    "fatal",
    "_main",
    "parse",
    "handle",
    "on_",
    "exit",
    "error",
    "start",
)


def place_of(top: ast.stmt, subject: Subject) -> str:
    """`main` is where a program may end itself: under the main guard, in `__main__.py`, in what is called main."""
    if subject.name in ("__main__.py", "setup.py", "cli.py", "main.py") and not isinstance(top, ast.Expr):
        return "main"
    if isinstance(top, ast.If) and "__main__" in ast.unparse(top.test):
        return "main"
    if isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef):
        return "main" if top.name.lstrip("_").startswith(_MAINS) else "function"
    return "module"


def local_aliases(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """The imports anywhere among `nodes`."""
    return aliases_of(n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom))


def raised(node: ast.Raise, aliases: dict[str, str]) -> str:
    what = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return "" if what is None else dotted(what, aliases)


def asks(top: ast.stmt, word: str) -> bool:
    """Whether the word is looked up among modules, arguments, variables or callers, and is not just a name in a list."""
    text = ast.unparse(top)
    return any(part in text for part in ("sys.modules", "sys.argv", "environ", "inspect.", "_getframe", "find_spec"))


def looks_at_callers(top: ast.stmt) -> bool:
    text = ast.unparse(top)
    return any(
        part in text
        for part in ("_getframe", "inspect.stack", "currentframe", "extract_stack", "sys.argv", "getouterframes")
    )


def reads(top: ast.stmt) -> bool:
    text = ast.unparse(top)
    return any(
        part in text for part in ("open(", "read_text", "read_bytes", "Path(", "glob", "importlib", "runpy", "listdir")
    )
