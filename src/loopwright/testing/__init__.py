"""Real implementations of the protocols for tests, the project's own and its users': a clock that is set, a journal in memory, a
journal that dies at a chosen append, a loop that does nothing."""
