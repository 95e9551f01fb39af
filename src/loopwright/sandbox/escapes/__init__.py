"""Escapes and abuses, tried for real: each is first let off without a sandbox, so that holding it means something."""
