"""Other seeds for what a search has found: planned, trained, judged."""
