"""The command line: one module a group of verbs. Nothing heavy is imported before a verb needs it: `--help` must be quick."""
