"""The pure heart: values, events, and the functions that fold and decide. No I/O, no clock, no await, nothing of ours above it."""
