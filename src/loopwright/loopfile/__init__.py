"""The loop file: structure above the line, the goal in plain language below it. Read, checked, explained."""

from loopwright.loopfile._file import LoopFile, parse, read, with_loop
from loopwright.loopfile.later import not_available
from loopwright.loopfile.schema import json_schema

__all__ = ["LoopFile", "json_schema", "not_available", "parse", "read", "with_loop"]
