"""What runs outside the sandbox but beside us: a small process that makes mounts, drops rights and becomes `bwrap`.

It is started with `python -I -S` and an empty environment, has one thread and little memory, so that forking it is cheap and
safe; whatever imports it must not be expensive. Nothing here is imported by the rest of the package but for the names of its messages.
"""
