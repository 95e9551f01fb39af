"""A hijacked agent against the policy: made-up tool suites, tasks, injected goals, and the run that counts what got through."""
