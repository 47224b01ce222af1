"""Paired scores of two models on the same records, and what may be concluded from them."""
