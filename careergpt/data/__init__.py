"""From tables as people have them to batches of tokens."""
