"""The public API over HTTP, and a page for people who do not read terminals."""
