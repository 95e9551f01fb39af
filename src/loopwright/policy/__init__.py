"""What an actor may do, decided without I/O: labels, taint, rules, plans, and grants that can only narrow."""
