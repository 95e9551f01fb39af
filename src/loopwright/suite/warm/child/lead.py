"""A test that is run only for what it leaves behind: without reports it costs a third, without hooks a tenth."""

from typing import Any

import pytest

__all__ = ["is_bare", "is_plain", "lead"]

_HARMLESS = ("_pytest.", "_loopwright_child.", "pytest_timeout")
"""What wraps a test without changing what it does. Others repeat tests, or run them in their own way."""


def is_plain(config: Any) -> bool:
    """Whether tests are run by pytest alone: a plugin that runs them in its own way would not be asked."""
    calls = config.hook.pytest_runtest_protocol.get_hookimpls()
    return all(call.function.__module__.startswith(_HARMLESS) for call in calls)


def is_bare(config: Any) -> bool:
    """Whether no hook around a test does something to one that has no fixture and passed on the head."""
    hook = config.hook
    around = (hook.pytest_runtest_setup, hook.pytest_runtest_call, hook.pytest_runtest_teardown)
    names = [call.function.__module__ for one in around for call in one.get_hookimpls()]
    return all(name.startswith((*_HARMLESS, "_hypothesis_pytestplugin")) for name in names)


def lead(item: Any, following: Any, *, bare: bool) -> None:
    """What `pytest_runtest_protocol` does but for reports; how the test ends is nobody's business.

    `bare`: hooks may be left out where the test is a plain function without fixtures, as those are made by hooks too (`caplog`).
    """
    state = getattr(item.session, "_setupstate", None) if bare else None
    if state is not None and type(item) is pytest.Function and not item.fixturenames and not _is_generated(item):
        if _ended(state.setup, item):
            _ended(item.runtest)
        _ended(state.teardown_exact, following)
        return
    hook = item.ihook
    if _ended(hook.pytest_runtest_setup, item=item):
        _ended(hook.pytest_runtest_call, item=item)
    _ended(hook.pytest_runtest_teardown, item=item, nextitem=following)


def _is_generated(item: Any) -> bool:
    return bool(getattr(item.obj, "is_hypothesis_test", False))


def _ended(step: Any, *args: Any, **kwargs: Any) -> bool:
    """Whether it came to its end without an exception."""
    try:
        step(*args, **kwargs)
    except (pytest.exit.Exception, KeyboardInterrupt):
        raise  # these end a run
    except BaseException:  # a skip, too, is none of ours
        return False
    return True
