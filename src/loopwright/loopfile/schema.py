"""The JSON schema of the front matter, for editors. It is made from the key tables that the parser reads by."""

import json

from loopwright.loopfile._keys import LOOP

__all__ = ["json_schema"]


def json_schema() -> bytes:
    """A draft 2020-12 schema of the front matter, as indented UTF-8 JSON with a line end.

    What a schema cannot say stays with the parser: a cron line that never fires, a time zone that is not there, a model's
    provider, and which keys need one another.
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "loopwright loop file, front matter",
        "description": "The structure of a loop. The goal stands below the front matter, in plain language.",
        **LOOP.schema(),
    }
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()
