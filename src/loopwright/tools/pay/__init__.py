"""Paying, governed: a person signs a mandate, the gate verifies it, the ledger reserves it once, and only then the rail is called."""
