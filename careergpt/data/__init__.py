"""Data: tables as people have them become records, examples, and batches of tokens."""
