"""A test that is run only for what it leaves behind: without reports it costs a third."""

from typing import Any

import pytest

__all__ = ["is_plain", "lead"]

_HARMLESS = ("_pytest.", "_loopwright_child.", "pytest_timeout")
"""What wraps a test without changing what it does. Others repeat tests, or run them in their own way."""


def is_plain(config: Any) -> bool:
    """Whether tests are run by pytest alone: a plugin that runs them in its own way would not be asked."""
    calls = config.hook.pytest_runtest_protocol.get_hookimpls()
    return all(call.function.__module__.startswith(_HARMLESS) for call in calls)


def lead(item: Any, following: Any) -> None:
    """What `pytest_runtest_protocol` does but for reports; how the test ends is nobody's business."""
    hook = item.ihook
    try:
        hook.pytest_runtest_setup(item=item)
        hook.pytest_runtest_call(item=item)
    except (pytest.exit.Exception, KeyboardInterrupt):
        raise  # these end a run
    except BaseException:  # noqa: S110  a skip, too, is none of ours
        pass
    try:
        hook.pytest_runtest_teardown(item=item, nextitem=following)
    except (pytest.exit.Exception, KeyboardInterrupt):
        raise
    except BaseException:  # noqa: S110
        pass
