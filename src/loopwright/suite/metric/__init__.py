"""A metric's command: run once in a candidate, and the numbers read out of what it prints."""

from loopwright.suite.metric.parse import parse_metric
from loopwright.suite.metric.run import CommandNotFound, run_metric

__all__ = ["CommandNotFound", "parse_metric", "run_metric"]
