"""A judge without a model: it looks for what a passing test suite does not notice.

It objects when a change to Python code adds a bare `except`, swallows an exception, drops error handling, a check, an assertion, a call
or a returned value that was there, changes or removes a public function that others may call, or speaks to its reviewer. It knows nothing
of what the code is for: a wrong number or a wrong comparison is not for it. Its answer is an opinion, not a proof.

    evaluate:
      review: {run: "python tools/judge.py"}

It reads its request from the file that LOOPWRIGHT_REVIEW names and writes its answer to the one that LOOPWRIGHT_RESULT names.
It never runs the code that it judges, and it imports nothing of it.
"""

import ast
import json
import os
import pathlib
import sys
from collections import Counter

LIMIT = 20


def parse(path):
    """The module at `path`; None when it is not there or no Python."""
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def swallows(handler):
    """Whether an exception handler does nothing at all with what went wrong."""
    return all(
        isinstance(s, (ast.Pass, ast.Continue)) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
        for s in handler.body
    )


def functions(tree):
    """Every function by its dotted name."""
    found = {}

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found[prefix + child.name] = child
                visit(child, prefix + child.name + ".")
            elif isinstance(child, ast.ClassDef):
                visit(child, prefix + child.name + ".")
            else:
                visit(child, prefix)

    visit(tree, "")
    return found


def signature(function):
    """What a caller can rely on: names, order, and which parameters have a default. Annotations do not matter."""
    a = function.args
    named = [p.arg for p in a.posonlyargs + a.args]
    required = named[: len(named) - len(a.defaults)]
    keywords = {k.arg: d is not None for k, d in zip(a.kwonlyargs, a.kw_defaults)}
    return named, required, keywords, a.vararg is not None, a.kwarg is not None


def breaks_callers(old, new):
    """Whether a call that was right before may be wrong now. More parameters with defaults at the end break nobody."""
    named, required, keywords, star, stars = signature(old)
    named_now, required_now, keywords_now, star_now, stars_now = signature(new)
    return (
        named_now[: len(named)] != named
        or len(required_now) > len(required)
        or any(k not in keywords_now for k in keywords)
        or any(not has_default and keywords.get(k, True) for k, has_default in keywords_now.items())
        or (star and not star_now)
        or (stars and not stars_now)
    )


def is_none(node):
    return isinstance(node, ast.Constant) and node.value is None


def checks(function):
    """Counts of what a function does for its callers: it checks, raises, handles, leaves early, calls, and gives something back."""
    count = Counter()
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            count["assertion"] += 1
        elif isinstance(node, ast.Raise):
            count["raise"] += 1
        elif isinstance(node, ast.ExceptHandler):
            count["exception handler"] += 1
        elif isinstance(node, ast.If) and isinstance(node.body[-1], (ast.Return, ast.Raise, ast.Continue)):
            count["guard"] += 1
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            count["call made for its effect"] += 1
        elif isinstance(node, ast.Return) and not (node.value is None or is_none(node.value)):
            count["returned value"] += 1
    return count


def added_handlers(old, new):
    """Exception handlers that were not there before."""
    known = Counter(ast.dump(h) for h in ast.walk(old) if isinstance(h, ast.ExceptHandler)) if old else Counter()
    for node in ast.walk(new):
        if isinstance(node, ast.ExceptHandler):
            if known[ast.dump(node)]:
                known[ast.dump(node)] -= 1
            else:
                yield node


def compare(path, old, new):
    """What is wrong with the change of one module, as findings."""
    for handler in added_handlers(old, new):
        if handler.type is None:
            yield path, handler.lineno, "a bare `except` catches everything, an interruption of the program included"
        elif swallows(handler):
            yield path, handler.lineno, "an exception is swallowed without a trace"
    if old is None:
        return
    before, after = functions(old), functions(new)
    for name, function in before.items():
        public = not any(part.startswith("_") for part in name.split("."))
        if name not in after:
            if public and "." not in name:
                yield path, None, f"the public function {name!r} is gone"
            continue
        now = after[name]
        if public and breaks_callers(function, now):
            yield path, now.lineno, f"the signature of {name!r} changed: callers may break"
        for what, number in (checks(function) - checks(now)).items():
            yield path, now.lineno, f"{name!r} lost {number} × {what}"


def main():
    request = json.loads(pathlib.Path(os.environ["LOOPWRIGHT_REVIEW"]).read_text())
    before, candidate = pathlib.Path(request["before"]), pathlib.Path(request["candidate"])
    findings = [(a["path"], a["line"], "a line speaks to its reviewer") for a in request["addressed"]]
    unread = []
    for change in request["changed"]:
        path = change["path"]
        if not path.endswith(".py"):
            unread.append(path)
            continue
        old = None if change["change"] == "added" else parse(before / path)
        if change["change"] == "deleted":
            findings.append((path, None, "a whole module is deleted"))
            continue
        new = parse(candidate / path)
        if new is None:
            findings.append((path, None, "the file is no Python any more"))
        else:
            findings += compare(path, old, new)
    if findings:
        path, line, says = findings[0]
        verdict, reason = "object", f"{len(findings)} finding{'s' if len(findings) > 1 else ''}"
    elif unread and len(unread) == len(request["changed"]):
        verdict, reason = "unsure", "no Python file is changed, and I read nothing else"
    else:
        verdict, reason = "accept", "nothing that I look for"
    answer = {
        "verdict": verdict,
        "reason": reason,
        "findings": [{"path": p, "line": n, "says": s} for p, n, s in findings[:LIMIT]],
        "usd": 0,
        "tokens": 0,
    }
    pathlib.Path(os.environ["LOOPWRIGHT_RESULT"]).write_text(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
