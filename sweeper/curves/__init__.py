"""Curves, what detectors find on them, and how two of them compare. numpy only."""

from sweeper.curves.curve import (
    Curve,
    Point,
    point_from_json,
    point_to_json,
    read_curve,
    write_curve,
)
from sweeper.curves.finding import Finding, FindingKind, Stop, StopReason

__all__ = [
    "Curve",
    "Finding",
    "FindingKind",
    "Point",
    "Stop",
    "StopReason",
    "point_from_json",
    "point_to_json",
    "read_curve",
    "write_curve",
]
