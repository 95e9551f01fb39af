"""Drills: the runtime attacked on purpose, over the user's own configuration, to see what holds."""
