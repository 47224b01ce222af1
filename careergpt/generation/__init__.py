"""Decoding in batches, scoring of candidates, and measures of the generated text."""
