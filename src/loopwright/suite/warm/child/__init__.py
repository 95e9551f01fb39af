"""What runs inside the target's own interpreter, sent there as text: standard library and pytest only, nothing of loopwright.

The modules import each other relatively, so that they work under whatever package name they are given there (`child/start.py`).
"""
