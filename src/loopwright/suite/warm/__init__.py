"""Candidates screened in processes that are forked from a warm one. `from loopwright.suite.warm.warm import warm`."""
