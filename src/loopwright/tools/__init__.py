"""Tools, and the gate: the only door through which an actor reaches them."""
