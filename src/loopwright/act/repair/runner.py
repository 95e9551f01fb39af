"""The interpreter behind a test command, which repair shares with the warm verifier: see `loopwright.suite.warm.runner`."""

from loopwright.suite.warm.runner import Runner, runner_of

__all__ = ["Runner", "runner_of"]
