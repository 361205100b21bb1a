"""A diagnosis as JSON, for programs: strict, and in the same order every time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum

from sweeper.curves import Finding
from sweeper.diagnosis.cause import Cause
from sweeper.diagnosis.diagnosis import Diagnosis, Recommendation


def diagnosis_json(diagnosis: Diagnosis) -> str:
    """The whole diagnosis as indented JSON.

    JSON has no NaN: such a number is the string `nan`, `inf` or `-inf`, as in a `curve.jsonl`.
    Everything beyond ASCII is escaped, so that no name can steer a terminal.
    """
    return json.dumps(plain(diagnosis_record(diagnosis)), indent=2, allow_nan=False) + "\n"


def diagnosis_line(diagnosis: Diagnosis) -> str:
    """The whole diagnosis as the last line of a stream of JSON lines."""
    record = {"event": "end", "diagnosis": diagnosis_record(diagnosis)}
    return json.dumps(plain(record), allow_nan=False) + "\n"


def diagnosis_record(diagnosis: Diagnosis) -> dict[str, object]:
    """The diagnosis as nested mappings and lists."""
    case, log = diagnosis.case, diagnosis.case.log
    return {
        "source": log.source,
        "format": log.format,
        "run": log.run,
        "runs": log.runs,
        "points": len(log.curve),
        "evidence": sorted(case.evidence),
        "is_trial": case.is_trial,
        "summary": diagnosis.summary,
        "findings": [finding_record(finding) for finding in diagnosis.case.findings],
        "causes": [_cause(cause) for cause in diagnosis.causes],
        "recommendations": [_recommendation(item) for item in diagnosis.recommendations],
        "last_good_step": diagnosis.last_good_step,
        "last_good_reason": diagnosis.last_good_reason,
        "test": diagnosis.test,
        "stuck": diagnosis.stuck,
        "timeline": diagnosis.timeline,
        "spikes": diagnosis.spikes,
        "settings": diagnosis.settings,
        "speed": diagnosis.speed,
        "gap": diagnosis.gap,
        "gap_reading": diagnosis.gap_reading,
        "checkpoints": diagnosis.checkpoints,
        "columns": log.columns,
        "notes": (*log.notes, *case.notes),
        "restart_steps": log.restart_steps,
        "logged_settings": log.settings,
        "config": case.config,
        "corpus": case.corpus,
        "model": case.model,
    }


def finding_record(finding: Finding) -> dict[str, object]:
    """One finding, by the names of its fields."""
    return {field.name: getattr(finding, field.name) for field in fields(finding)}


def _cause(cause: Cause) -> dict[str, object]:
    rule, decision = cause.rule, cause.decision
    return {
        "id": rule.id,
        "title": rule.title,
        "verdict": decision.verdict,
        "confidence": decision.confidence,
        "evidence": decision.evidence,
        "numbers": decision.numbers,
        "needs": rule.needs,
        "cannot_show": rule.cannot_show,
        "experiment": rule.experiment,
        "explains_stall": rule.explains_stall,
    }


def _recommendation(item: Recommendation) -> dict[str, object]:
    advice = item.advice
    return {
        "id": advice.id,
        "priority": item.priority,
        "title": advice.title,
        "reason": advice.reason,
        "refuted_by": advice.refuted_by,
        "change": advice.change,
        "expect": advice.expect,
        "urgency": advice.urgency,
        "confidence": item.confidence,
        "causes": item.causes,
    }


def plain(value: object) -> object:
    """A value as JSON's own kinds; what JSON does not know becomes its text."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}  # type: ignore[arg-type]
    return str(value)
