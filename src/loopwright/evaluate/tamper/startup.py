"""What runs before or around every test: hooks, start-up files, plugins, and modules that stand in for others."""

import ast
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from loopwright.evaluate.tamper.code import dotted, walk
from loopwright.evaluate.tamper.finding import Finding
from loopwright.evaluate.tamper.scene import Scene, Subject

__all__ = ["startup_files"]

_STARTUP = frozenset({"sitecustomize.py", "usercustomize.py"})
_STDLIB: Final = sys.stdlib_module_names - {"__main__", "this", "antigravity"}
_OTHERS: Final = frozenset(
    {
        "pytest",
        "_pytest",
        "pluggy",
        "iniconfig",
        "numpy",
        "pandas",
        "scipy",
        "sklearn",
        "torch",
        "tensorflow",
        "jax",
        "hypothesis",
        "coverage",
        "mock",
        "nose",
        "nose2",
        "requests",
        "attr",
        "attrs",
        "xdist",
        "pytest_cov",
        "pytest_asyncio",
        "pytest_timeout",
        "anyio",
        "trio",
        "approvaltests",
        "freezegun",
        "responses",
        "django",
    }
)
_GRAVE: Final = frozenset(
    {
        "pytest_runtest_makereport",
        "pytest_pyfunc_call",
        "pytest_runtest_protocol",
        "pytest_runtestloop",
        "pytest_runtest_call",
        "pytest_sessionfinish",
        "pytest_report_teststatus",
        "pytest_collection_modifyitems",
        "pytest_ignore_collect",
        "pytest_collect_file",
        "pytest_pycollect_makeitem",
        "pytest_pycollect_makemodule",
        "pytest_assertrepr_compare",
        "pytest_assertion_pass",
        "pytest_exception_interact",
        "pytest_runtest_logreport",
        "pytest_deselected",
        "pytest_cmdline_main",
        "pytest_load_initial_conftests",
        "pytest_runtest_setup",
        "pytest_itemcollected",
        "pytest_unconfigure",
        "pytest_make_collect_report",
        "pytest_collection",
        "pytest_collection_finish",
        "pytest_make_parametrize_id",
        "pytest_generate_tests",
    }
)
_HOOKS: Final = _GRAVE | {
    "pytest_configure", "pytest_addoption", "pytest_sessionstart", "pytest_plugin_registered", "pytest_addhooks", "pytest_fixture_setup",
    "pytest_runtest_teardown", "pytest_runtest_logstart", "pytest_terminal_summary", "pytest_report_header", "pytest_warning_recorded",
    "pytest_collectstart", "pytest_collectreport", "pytest_cmdline_parse", "pytest_fixture_post_finalizer", "pytest_collect_directory",
}  # fmt: skip
_LEAVING_OUT = ("collect_ignore", "collect_ignore_glob")


def startup_files(subject: Subject, scene: Scene) -> Iterable[Finding]:
    if subject.deleted:
        return
    if subject.name.endswith(".pth") or subject.name in _STARTUP:
        yield subject.found(
            "startup.file",
            0,
            f"{subject.name} is run by every Python before the tests; take it out",
            "sure" if subject.created else "likely",
        )
    if not subject.python:
        return
    if subject.created and subject.name == "conftest.py":
        yield subject.found("startup.conftest", 0, "a new conftest.py runs inside the tests; look whether it is needed")
    if subject.created:
        yield from _shadow(subject, scene)
    if subject.after is not None:
        yield from _hooks(subject)
        yield from _names(subject, scene)


def _shadow(subject: Subject, scene: Scene) -> Iterator[Finding]:
    *folders, name = subject.path.split("/")
    module = name.removesuffix(".py")
    if module == "__init__" and folders:
        module = folders.pop()
    if module not in _STDLIB and module not in _OTHERS:
        return
    inside = "/".join([*folders, "__init__.py"])
    here = {s.path for s in scene.subjects if s.created} | scene.paths
    if folders and inside in here:
        return  # a module of a package is imported by its full name
    says = f"stands in for the module {module!r} of everybody who imports it; give it another name"
    yield subject.found("startup.shadow", 0, says, "sure")


def _hooks(subject: Subject) -> Iterator[Finding]:
    """A plugin may have hooks; one more in it is worth a look, in a conftest or a module that had none it is an intrusion."""
    plugin = subject.name != "conftest.py" and "\ndef pytest_" in subject.before_text
    for name, function in subject.new_functions.items():
        old = subject.old_functions.get(name)
        if name not in _HOOKS or (old is not None and old.body_key == function.body_key):
            continue
        grave = name in _GRAVE or subject.name != "conftest.py"
        says = f"{'changes' if old else 'brings'} the hook {name}, which can change what tests report; take it out"
        severity = "smell" if plugin else "likely" if grave and old else "sure" if grave else "smell"
        yield subject.found("startup.hook", function.node.lineno, says, severity)  # type: ignore[arg-type]


def _names(subject: Subject, scene: Scene) -> Iterator[Finding]:
    assert subject.after is not None
    conftest = subject.name == "conftest.py"
    for node in subject.touched.new:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign | ast.AugAssign)
            else []
        )
        for target in targets:
            name = target.id if isinstance(target, ast.Name) else ""
            if conftest and name in _LEAVING_OUT:
                yield subject.found(
                    "startup.collect_ignore", node.lineno, f"{name} leaves tests out; take it out", "sure"
                )
            elif name == "pytest_plugins" and subject.kind != "source":
                yield subject.found("startup.plugins", node.lineno, "pytest_plugins loads more code into the tests")
    grave = subject.name in ("__init__.py", "conftest.py") or subject.kind == "test"
    tricks = list(_path_tricks(subject, subject.touched.new))
    had = {was for s in scene.subjects if tricks and s.before for was, _ in _path_tricks(s, s.touched.gone)}
    for what, line in tricks:
        if what not in had:
            says = f"{what} changes where modules come from; import the real ones"
            yield subject.found("startup.path", line, says, "likely" if grave or what != "sys.path" else "smell")


def _path_tricks(subject: Subject, nodes: Iterable[ast.stmt]) -> Iterator[tuple[str, int]]:
    code = subject.after or subject.before
    if code is None or not ("sys" in code.text or "__path__" in code.text):
        return
    for node in walk(nodes):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            base = dotted(node.func.value, code.aliases)
            if (
                base in ("sys.path", "sys.meta_path", "sys.path_hooks", "__path__")
                and node.func.attr
                in (
                    "insert",
                    "append",
                    "extend",
                )
            ) or (base == "sys.modules" and node.func.attr in ("update", "setdefault", "__setitem__")):
                yield base, node.lineno
        elif isinstance(node, ast.Assign | ast.AugAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                inner = target.value if isinstance(target, ast.Subscript) else target
                name = dotted(inner, code.aliases)
                if name in ("sys.path", "sys.meta_path", "sys.modules", "sys.path_hooks", "__path__"):
                    yield name, node.lineno
