"""The rules in the order in which they are asked: denials, what a person must always see, what is harmless, the plan."""
