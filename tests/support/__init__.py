"""Real parts that tests of several areas start: imported as `support.…`, because pytest puts the folder of conftest.py on the path."""
