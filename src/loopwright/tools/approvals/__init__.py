"""Approvals: what a person is shown, what an answer is bound to, and what happens when nobody is there."""
