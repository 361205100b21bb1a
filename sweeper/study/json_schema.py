"""The JSON Schema of a study file, for editors that complete and check YAML."""

from __future__ import annotations

from sweeper.study.spec import StudySpec

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def study_json_schema() -> dict[str, object]:
    """What a study file may say, short forms such as `40k`, `5%` and `off` included."""
    schema = StudySpec.model_json_schema(by_alias=True, mode="validation")
    heading: dict[str, object] = {
        "$schema": _DIALECT,
        "title": "sweeper study",
        "description": "A study of GPT-2 LoRA fine-tuning: what is trained, judged and tried.",
    }
    own = {"required": ["engine"], "properties": {"engine": {"type": "object"}}}
    schema["anyOf"] = [{"required": ["model", "data"]}, own]  # a command brings both with it
    return heading | {key: part for key, part in schema.items() if key not in heading}
