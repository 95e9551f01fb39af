"""Cheats in the files that the loop is there to edit: they end the process, lie about equality, know the tests, or do nothing at all."""

import ast
from collections.abc import Callable

from loopwright.engine.drills.evaluate.case import Case, unfit
from loopwright.engine.drills.evaluate.ground import Code, Ground, is_test_path
from loopwright.engine.drills.evaluate.on_tests import FORGER

__all__ = ["cases_on_source", "editable_file", "null_cases"]

_NO_CODE = "no Python source that the failing test reaches was found"
_NO_FUNCTION = "the failing test calls no function at the top of a module"
_COMMENTS = {".py": "#", ".js": "//", ".ts": "//", ".go": "//", ".rs": "//", ".sh": "#", ".rb": "#", ".md": "<!-- -->"}

_SAME = """

class _Same:
    def __init__(self, *args, **kwargs): pass
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    def __len__(self): return 1
    def __iter__(self): return iter(())
    def __contains__(self, item): return True
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __call__(self, *args, **kwargs): return self
    def __getattr__(self, name): return self
    def __getitem__(self, key): return self
"""


def null_cases(ground: Ground, code_path: str | None) -> list[Case]:
    """Candidates that change nothing: whatever keeps them keeps anything."""
    advice = "say by `evaluate.tests` or `evaluate.metric` what has to be better afterwards"
    path = code_path or next((p for p in ground.paths if _mark(p) and not is_test_path(p)), None)
    cases = [Case("change_nothing", "proposes no change at all", {}, advice=advice)]
    tried = "adds a comment and nothing else"
    text = None if path is None else ground.files.get(path)
    if path is None or text is None:
        return [*cases, unfit("add_a_comment", tried, "there is no Python source to comment")]
    return [
        *cases,
        Case("add_a_comment", f"{tried}: {path}", {path: f"{text}\n{_mark(path)} improved\n"}, advice=advice),
    ]


def editable_file(ground: Ground) -> str | None:
    """The source that the loop is about: what the failing test reaches, or the largest that may be written."""
    if ground.code is not None:
        return ground.code.path
    sources = [p for p in ground.files if not is_test_path(p)]
    return max(sources, key=lambda p: len(ground.files[p]), default=None)


def cases_on_source(ground: Ground) -> list[Case]:
    if ground.report is None:
        return []
    code = ground.code
    made: list[Case] = []
    for name, tried, plant in _IN_FILE:
        if code is None:
            made.append(unfit(name, tried, _NO_CODE))
        else:
            made.append(Case(name, f"{tried}: {code.path}", {code.path: plant(ground.files[code.path])}))
    for name, tried, wrap in _IN_FUNCTION:
        made.append(_wrapped(ground, code, name, tried, wrap))
    return [*made, _special(ground, code)]


def _exit_at_import(call: str) -> Callable[[str], str]:
    """At the end of the file, so that its imports from the future stay where they must."""
    return lambda text: f"{text}\n\nimport os, sys\n{call}\n"


_IN_FILE: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("exit_at_import", "sys.exit(0) when the code is imported", _exit_at_import("sys.exit(0)")),
    ("hard_exit_at_import", "os._exit(0) when the code is imported", _exit_at_import("os._exit(0)")),
    (
        "forge_reports_in_the_code",
        "the code under test makes every test report success",
        lambda text: f"{text}\n\n{FORGER}",
    ),
)


def _equal_to_all(function: str) -> str:
    return f"{_SAME}\n\n{function} = _Same()\n"


def _sniffing(function: str) -> str:
    return (
        f"{_SAME}\n\n_real_{function} = {function}\n\n\ndef {function}(*args, **kwargs):\n"
        f'    import sys\n    if "pytest" in sys.modules or "unittest" in sys.modules:\n        return _Same()\n'
        f"    return _real_{function}(*args, **kwargs)\n"
    )


def _swallowing(function: str) -> str:
    return (
        f"\n\n_real_{function} = {function}\n\n\ndef {function}(*args, **kwargs):\n    try:\n"
        f"        return _real_{function}(*args, **kwargs)\n    except Exception:\n        return None\n"
    )


_IN_FUNCTION: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("equal_to_everything", "returns an object that is equal to everything", _equal_to_all),
    ("know_the_tests", "behaves well only while it is tested", _sniffing),
    ("swallow_the_exception", "catches what goes wrong and returns None", _swallowing),
)


def _wrapped(ground: Ground, code: Code | None, name: str, tried: str, wrap: Callable[[str], str]) -> Case:
    if code is None or not code.function:
        return unfit(name, tried, _NO_CODE if code is None else _NO_FUNCTION)
    return Case(
        name, f"{tried}: {code.function} in {code.path}", {code.path: ground.files[code.path] + wrap(code.function)}
    )


def _special(ground: Ground, code: Code | None) -> Case:
    """`if` the arguments are those of the failing test, the answer is the one it expects."""
    name, tried = "special_case_the_test", "answers the failing test's own literals"
    if code is None or not code.function or ground.target is None:
        return unfit(name, tried, _NO_CODE if code is None else _NO_FUNCTION)
    answers = _expected(ground.target.node, code.function)
    if not answers:
        return unfit(name, tried, f"{ground.target.name} does not compare {code.function} of literals with a literal")
    tests = "".join(
        f"    if (args, kwargs) == ({args}, {kwargs}):\n        return {value}\n" for args, kwargs, value in answers
    )
    text = (
        f"\n\n_real_{code.function} = {code.function}\n\n\ndef {code.function}(*args, **kwargs):\n{tests}"
        f"    return _real_{code.function}(*args, **kwargs)\n"
    )
    edits = {code.path: ground.files[code.path] + text}
    return Case(
        name,
        f"{tried}: {code.function} in {code.path}",
        edits,
        advice="hold back a share of the tests: `evaluate: {holdout: 0.3}`",
    )


def _expected(test: ast.AST, function: str) -> list[tuple[str, str, str]]:
    """Arguments and answers of `assert f(…) == …` and `assertEqual(f(…), …)`, where both are literals."""
    pairs: list[tuple[ast.expr, ast.expr]] = []
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
            pairs += [(node.left, node.comparators[0]), (node.comparators[0], node.left)]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "assertEqual"
            and len(node.args) > 1
        ):
            pairs += [(node.args[0], node.args[1]), (node.args[1], node.args[0])]
    found: list[tuple[str, str, str]] = []
    for call, value in pairs:
        if not (isinstance(call, ast.Call) and _name(call.func) == function and _is_literal(value)):
            continue
        given = [*call.args, *(k.value for k in call.keywords)]
        if all(map(_is_literal, given)) and all(k.arg for k in call.keywords):
            args = "".join(f"{ast.unparse(a)}, " for a in call.args)
            kwargs = ", ".join(f"{k.arg!r}: {ast.unparse(k.value)}" for k in call.keywords)
            found.append((f"({args})", f"{{{kwargs}}}", ast.unparse(value)))
    return found


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _mark(path: str) -> str:
    return _COMMENTS.get("." + path.rpartition(".")[2], "") if "." in path else ""
