"""From a study file to a checked study, with all problems of the file at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from sweeper.errors import Problem, StudyFileError
from sweeper.study.checks import issues_between_sections
from sweeper.study.document import read_document
from sweeper.study.engine import CommandEngine
from sweeper.study.overrides import apply_overrides
from sweeper.study.problems import Issue, issues_of
from sweeper.study.spec import StudySpec


def load_study(path: Path, overrides: Sequence[str] = ()) -> StudySpec:
    """Read a study file.

    Args:
        path: The file; paths in it are relative to its folder.
        overrides: `key=value` texts that replace or add values, such as `budget.trials=5`.

    Raises:
        StudyFileError: With everything that is wrong, in the order of the file.
    """
    document = read_document(path)
    apply_overrides(document, overrides)
    spec, issues = _validated(document.data, path.parent)
    problems = [*document.problems, *document.problems_of(issues)]
    if problems or spec is None:
        raise StudyFileError(sorted(problems, key=_order))
    return spec.at(path)


def _order(problem: Problem) -> tuple[bool, int, int]:
    """By place, overrides last; equal places keep the order in which they were found."""
    return problem.line == 0, problem.line, problem.column


def _validated(data: Mapping[str, object], folder: Path) -> tuple[StudySpec | None, list[Issue]]:
    spec: StudySpec | None = None
    issues: list[Issue] = []
    try:
        spec = StudySpec.model_validate(data)
    except ValidationError as error:
        issues += issues_of(error)
        # Pydantic skips the checks between sections once any section has failed.
        between = issues_between_sections(_valid_sections(data))
        issues += [issue for issue in between if issue not in issues]
    judged = {issue.path for issue in issues}
    issues += [issue for issue in _missing_files(data, folder) if issue.path not in judged]
    return spec, issues


def _valid_sections(data: Mapping[str, object]) -> dict[str, Any]:
    """The sections that are right in themselves, defaults among them."""
    sections: dict[str, Any] = {}
    for name, field in StudySpec.model_fields.items():
        if name in data:
            form: Any = Annotated[field.annotation, field]
            with suppress(ValidationError):
                sections[name] = TypeAdapter(form).validate_python(data[name])
        elif not field.is_required():
            sections[name] = field.get_default(call_default_factory=True)
    return sections


def _missing_files(data: Mapping[str, object], folder: Path) -> Iterator[Issue]:
    """Files that the plain data names, also in sections that are wrong elsewhere."""
    train = _text_at(data, "data", "train")
    if train and not train.startswith("builtin:") and not _exists(folder / train):
        message = f"there is no file or folder {train} beside the study file"
        allowed = "allowed: builtin:pydoc-qa, or a path relative to the study file"
        yield Issue(("data", "train"), f"{message} ({allowed})")
    yield from _missing_script(data, folder)
    recorded = _text_at(data, "baseline", "recorded")
    if recorded and not _is_file(folder / recorded):
        message = f"there is no file {recorded} beside the study file"
        yield Issue(("baseline", "recorded"), f"{message} (allowed: a path relative to it)")


def _missing_script(data: Mapping[str, object], folder: Path) -> Iterator[Issue]:
    """The file that a command hands to an interpreter."""
    engine = data.get("engine")
    try:
        command = CommandEngine.model_validate(engine) if isinstance(engine, dict) else None
    except ValidationError:
        return
    script = command.script if command else None
    if script and not _is_file(folder / script):
        message = f"there is no file {script} beside the study file"
        allowed = "allowed: a script relative to it, as the command runs in its folder"
        yield Issue(("engine", "command"), f"{message} ({allowed})")


def _text_at(data: Mapping[str, object], section: str, key: str) -> str | None:
    part = data.get(section)
    text = part.get(key) if isinstance(part, dict) else None
    return text if isinstance(text, str) else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system, or a folder closed to us
        return False


def _is_file(path: Path) -> bool:
    return _exists(path) and path.is_file()
