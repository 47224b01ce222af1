"""The public API over HTTP, and a page for people who do not read terminals."""

WAIT, SECONDS = 0.8, 30.0
"""Seconds that a request may have to wait for others, and that it may take."""
