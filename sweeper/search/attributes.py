"""Names of the user attributes that a trial and a study carry in Optuna: a public interface."""

from __future__ import annotations

# Of a trial
STOP_REASON = "stop_reason"
EVIDENCE = "evidence"
BASELINE = "baseline"
HYPOTHESIS = "hypothesis"
VAL_LOSS = "val_loss"
TOKENS = "tokens"
SECONDS = "seconds"
LOST_TOKENS = "lost_tokens"
LOST_SECONDS = "lost_seconds"
HYPERPARAMETERS = "hyperparameters"
MANIFEST = "manifest"
SAME_AS = "same_as"
FIXED = "fixed_hyperparameters"
AUDIT = "audit"
LEASE = "lease"
CRASHES = "crashes"
OVERFLOW = "out_of_memory_with"
ARTIFACT = "artifact"
ENDED_BY = "ended_by"

# A constraint of a trial
VIOLATION = "violation"

# Of a study
IDENTITY = "study_file"
SECONDS_SPENT = "seconds_spent"
PLANNED_SEEDS = "planned_seeds"
FLOORS = "floors"
LATE_ARTIFACT = "artifact:"  # and the number of an ended trial, whose attributes are closed
WORKER_SECONDS = "worker_seconds:"  # and the worker's name
