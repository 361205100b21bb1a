"""The base of every part of a study file: frozen, no unknown keys, plain words for errors."""

from __future__ import annotations

from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from sweeper.study.problems import issues_of, refusal


class Section(BaseModel):
    """A mapping of the study file with a closed list of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _speak_plainly(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            raise refusal(cls.__name__, issues_of(error, cls.key_names())) from error

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """The keys as the file writes them."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())
