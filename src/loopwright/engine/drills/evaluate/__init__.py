"""`drill evaluate`: planted cheats against the user's own loop, judged exactly as in a run."""
