"""What comes next: candidates, the count models to beat, rankings and their evaluation."""
