"""The whole study file as one frozen value."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, field_serializer, model_validator

from sweeper.study import artifacts_place, storage_url
from sweeper.study.checks import issues_between_sections
from sweeper.study.engine import CommandEngine, EngineForm
from sweeper.study.hyperparameters import (
    Changes,
    Hyperparameters,
    HyperparameterValue,
    experiment_values,
    with_changes,
)
from sweeper.study.identity import digest_of, identity_of
from sweeper.study.problems import refusal
from sweeper.study.quantities import Source, Text, Whole
from sweeper.study.section import Section
from sweeper.study.sections import (
    BaselineSpec,
    BudgetSpec,
    DataSpec,
    EvaluateSpec,
    Hypothesis,
    PruneSpec,
    SearchSpec,
    WorkersSpec,
)
from sweeper.study.space import Dimension, SearchSpace, dimension_to_plain
from sweeper.study.verify import VerifySpec

_LONGEST_FOLDER_NAME = 60

Trial = Annotated[dict[str, HyperparameterValue], Changes(may_be_empty=True)]


class StudySpec(Section):
    """A study: what is trained, how it is judged, and what is tried.

    A spec made from plain data is checked against itself; only `load_study` also looks at the
    files that it names.
    """

    name: Annotated[str, Text(longest=200)] = Field(
        description="The study's name; its results lie in a folder of that name."
    )
    seed: Annotated[int, Whole(0)] = Field(
        0, description="Seed of the split, the sampler and every trial without its own."
    )
    model: Annotated[str, Source(("tiny", "untrained"), "a directory, or a hub name")] | None = (
        Field(
            None,
            description="The base: builtin:tiny, builtin:untrained, a directory, or a hub name; "
            "left out where the engine is a command.",
        )
    )
    data: DataSpec | None = Field(
        None,
        description="The corpus and how it is split; left out where the engine is a command.",
    )
    evaluate: EvaluateSpec = Field(
        EvaluateSpec(), description="The one way in which every trial is judged."
    )
    budget: BudgetSpec = Field(description="What the study and each trial may spend.")
    engine: Annotated[Literal["auto", "packed", "peft"] | CommandEngine, EngineForm()] = Field(
        "auto",
        description="What trains a trial: packed (GPT-2, fast), peft (any base), auto (packed "
        "where it can), or a command of your own.",
    )
    baseline: BaselineSpec = Field(BaselineSpec(), description="The run to beat.")
    space: Annotated[dict[str, Dimension], SearchSpace()] = Field(
        default_factory=dict,
        description="For each searched hyperparameter a list of values, or a range.",
    )
    search: SearchSpec = Field(SearchSpec(), description="How the next trial is chosen.")
    trials: Annotated[tuple[Trial, ...], Field(strict=False)] = Field(
        (), description="With the sampler list: changes to the baseline, run in order."
    )
    prune: PruneSpec = Field(PruneSpec(), description="The rules that end a trial early.")
    hypotheses: Annotated[tuple[Hypothesis, ...], Field(strict=False)] = Field(
        (), description="Named changes to the baseline that are tried before the search."
    )
    verify: VerifySpec | None = Field(
        None,
        description="After the search: baseline, hypotheses and best recipe on seeds of their "
        "own; null: no verdicts.",
    )
    workers: WorkersSpec = Field(WorkersSpec(), description="Who trains the trials.")
    storage: Annotated[
        str, Text(pattern=storage_url.PATTERN, allowed=storage_url.ALLOWED, may_be_secret=True)
    ] = Field(
        "default",
        description="default (SQLite in the study's folder), sqlite:///FILE, postgresql://…, "
        "grpc://HOST:PORT (of `sweeper storage serve`) or a journal: journal:///FILE, FILE.log.",
    )
    artifacts: (
        Annotated[
            str,
            Text(
                pattern=artifacts_place.PATTERN,
                allowed=artifacts_place.ALLOWED,
                may_be_secret=True,
            ),
        ]
        | None
    ) = Field(
        None,
        description="Where trials' checkpoints, curves and adapters are kept for workers that do "
        "not see this study's folder: s3://BUCKET/PREFIX, or a folder that all see, relative to "
        "the study file. null: all see the study's folder.",
    )
    output: Annotated[str, Text()] | None = Field(
        None, description="Folder for results, relative to the study file; null: reports."
    )

    _path: Path = PrivateAttr(default=Path("study.yaml"))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        if issues := issues_between_sections(sections):
            raise refusal("StudySpec", issues)
        return self

    @field_serializer("space")
    def _space_to_plain(self, space: Mapping[str, Dimension]) -> dict[str, object]:
        return {name: dimension_to_plain(dimension) for name, dimension in space.items()}

    def at(self, path: Path) -> Self:
        """The same spec as if read from that file."""
        copy = self.model_copy()
        copy._path = path
        return copy

    @property
    def path(self) -> Path:
        """The study file, as the user named it."""
        return self._path

    @property
    def folder(self) -> Path:
        """The study file's folder, from which its relative paths go."""
        return self._path.parent

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of what makes this the same study."""
        return digest_of(identity(self))

    @property
    def baseline_hyperparameters(self) -> Hyperparameters:
        """The baseline's hyperparameters, with a seed."""
        return self.hyperparameters_with({})

    def hyperparameters_with(self, changes: Mapping[str, object]) -> Hyperparameters:
        """The baseline's hyperparameters with some replaced, and with a seed.

        Raises:
            pydantic.ValidationError: A name is unknown or a value does not fit.
        """
        changed = with_changes(self.baseline.hyperparameters, changes)
        return changed if changed.seed is not None else with_changes(changed, {"seed": self.seed})

    @property
    def command(self) -> CommandEngine | None:
        """The user's own training command, where that is the engine."""
        return self.engine if isinstance(self.engine, CommandEngine) else None

    @property
    def base_and_data(self) -> tuple[str, DataSpec]:
        """The base and the corpus; every engine but a command has both."""
        assert self.model is not None and self.data is not None, "checked when the file was read"
        return self.model, self.data

    def conditions_of(self, name: str) -> Mapping[str, Sequence[HyperparameterValue]]:
        """The values of others under which a hyperparameter is searched; empty: always."""
        return self.search.only_where.get(name, {})

    def is_searched(self, name: str, chosen: Mapping[str, object]) -> bool:
        """Whether a hyperparameter is searched beside values that were chosen for others.

        Where it is not, it keeps the baseline's value.
        """
        conditions = self.conditions_of(name).items()
        return all(chosen.get(other) in allowed for other, allowed in conditions)

    @property
    def search_order(self) -> tuple[str, ...]:
        """What is searched, in the file's order, what hangs on others after these."""
        return tuple(sorted(self.space, key=lambda name: bool(self.conditions_of(name))))

    def experiment_of(self, hyperparameters: Hyperparameters) -> str:
        """One text for all recipes that are the same experiment in this study."""
        return json.dumps(self.experiment_values_of(hyperparameters), sort_keys=True)

    def experiment_values_of(self, hyperparameters: Hyperparameters) -> dict[str, object]:
        """By name what tells an experiment of this study from its others.

        What a command makes of its variables is not ours to know: each counts.
        """
        if self.command is not None:
            return hyperparameters.model_dump()
        return experiment_values(hyperparameters)

    @property
    def recorded_path(self) -> Path | None:
        """The baseline's recorded log, if there is one."""
        recorded = self.baseline.recorded
        return self.folder / recorded if recorded is not None else None

    @property
    def folder_name(self) -> str:
        """A name for the study's folder: safe on any file system, and its own.

        A name that had to be changed gets a piece of its hash, so that `A/B` and `A B` differ.
        """
        slug = re.sub(r"[^a-z0-9._-]+", "-", self.name.lower()).strip("-._")
        if slug == self.name and len(slug) <= _LONGEST_FOLDER_NAME:
            return slug
        suffix = hashlib.sha256(self.name.encode()).hexdigest()[:8]
        kept = slug[: _LONGEST_FOLDER_NAME - len(suffix) - 1].rstrip("-._")
        return f"{kept or 'study'}-{suffix}"

    @property
    def output_folder(self) -> Path:
        """Where the study's results lie."""
        if self.output is not None:
            return self.folder / self.output / self.folder_name
        if self.folder.resolve().name != "studies":
            return self.folder / "reports" / self.folder_name
        beside = self.folder.parent if self.folder.name == "studies" else self.folder / ".."
        return beside / "reports" / self.folder_name


def spec_to_plain(spec: StudySpec) -> dict[str, object]:
    """The spec with every default written out, as JSON-able data that a study file may hold."""
    return spec.model_dump(mode="json", by_alias=True)


def spec_from_plain(plain: Mapping[str, object], path: Path) -> StudySpec:
    """The inverse of `spec_to_plain`.

    Raises:
        pydantic.ValidationError: The data is not a study.
    """
    return StudySpec.model_validate(dict(plain)).at(path)


def identity(spec: StudySpec) -> dict[str, object]:
    """What makes it the same study, as JSON-able data; see `identity_of`."""
    return identity_of(spec_to_plain(spec))
