"""Laws of the package, room by room; conftest.py and processes.py hold what they share."""
