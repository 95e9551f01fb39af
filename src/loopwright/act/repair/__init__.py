"""Search-based program repair: find the suspicious lines, try small edits on them, offer those that make failing tests pass."""
