"""Recommendations: candidates, the count models to beat, rankings and their evaluation."""
