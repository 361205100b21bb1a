"""From a diagnosis to the study file that tests its advice."""

from sweeper.diagnosis.plan.text import study_text

__all__ = ["study_text"]
