"""Recorded full-length curves, and studies that are run over them in seconds."""
