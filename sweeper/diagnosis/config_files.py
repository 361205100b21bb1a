"""What `--config` names: files of many makes, and `KEY=VALUE`, as settings with their places."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from sweeper.diagnosis.config_aliases import ALIASES
from sweeper.errors import StudyFileError, UsageError
from sweeper.study import Hyperparameters
from sweeper.study.document import Document, document_of, syntax_message, value_of
from sweeper.study.problems import KeyPath
from sweeper.study.quantities import Tokens
from sweeper.study.yaml12 import compose

FLAG_ORIGIN = "--config"
# A model's configuration says more, but of the model's defaults, not of a run.
_SHAPE = frozenset(
    alias
    for name in ("vocab_size", "num_heads", "num_layers", "hidden_size")
    for alias in (name, *ALIASES[name])
)
_ALLOWED = "allowed: a YAML or JSON file, nanoGPT's .py, or KEY=VALUE"


@dataclass(frozen=True)
class Setting:
    """One thing that a configuration says.

    Attributes:
        key: As written, dotted where it was nested.
        value: Plain data.
        origin: Where it stands: `run.yaml:3`, `--config`, `log`.
    """

    key: str
    value: object
    origin: str

    @property
    def is_flag(self) -> bool:
        """Whether somebody typed it, so that an unknown name is a mistake."""
        return self.origin == FLAG_ORIGIN


@dataclass(frozen=True)
class Source:
    """All that one file or flag says.

    Attributes:
        name: As the user named it.
        settings: In its order.
        notes: What could not be read, with its place.
        model: The base that it names, where it is of our own make.
        data: The corpus, likewise.
        folder: What these two are relative to.
        is_given: Whether the user named it, so that what is wrong in it is their business.
    """

    name: str
    settings: tuple[Setting, ...]
    notes: tuple[str, ...] = ()
    model: str | None = None
    data: str | None = None
    folder: Path = Path()
    is_given: bool = True


def read_source(text: str) -> Source:
    """Read a file, or a flag such as `learning_rate=2e-5`.

    Raises:
        UsageError: It is neither, or the file is not what its name promises.
    """
    path = Path(text)
    key, equals, value = text.partition("=")
    if not _is_there(path):
        if not equals:
            raise UsageError(f"--config {text}: there is no such file ({_ALLOWED})")
        return Source(FLAG_ORIGIN, (_flag(key.strip(), value),))
    if path.is_dir():
        raise UsageError(f"--config {text}: this is a folder; name a file in it ({_ALLOWED})")
    content = _content(path)
    return _python(path, content) if path.suffix == ".py" else _mapping(path, content)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a character that no name has
        return False


def _flag(key: str, text: str) -> Setting:
    value, problems = value_of(text)
    if problems or not key:
        why = "; ".join(problems) or "a name is missing before the ="
        raise UsageError(f"--config {key}={text}: {why} (allowed: KEY=VALUE)")
    return Setting(key, value, FLAG_ORIGIN)


def _content(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--config {path}: byte {error.start} is not UTF-8, so this is no text ({_ALLOWED}); "
            "pickles such as training_args.bin are never opened"
        ) from error
    except OSError as error:
        raise UsageError(f"--config {path}: cannot be read ({error.strerror})") from error


def _python(path: Path, content: str) -> Source:
    """Assignments of plain values at the top of a script, as nanoGPT's configurations are."""
    try:
        found = tuple(_assignments(ast.parse(content).body, path.name))
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"--config {path}: not Python ({error})") from error
    except (RecursionError, MemoryError) as error:  # the parser says either of deep nesting
        raise UsageError(f"--config {path}: nested too deep to be read as Python") from error
    return Source(str(path), found)


def _assignments(body: Sequence[ast.stmt], name: str) -> Iterator[Setting]:
    return (
        Setting(target.id, value, f"{name}:{node.lineno}")
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
        for value in _constants(node.value)
    )


def _constants(node: ast.expr) -> Iterator[object]:
    """The value of a literal or of a product of literals, such as `5 * 8`; else nothing."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        for left in _constants(node.left):
            for right in _constants(node.right):
                if isinstance(left, (int, float)) and isinstance(right, (int, float)):
                    yield left * right
        return
    try:
        yield ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return


def _mapping(path: Path, content: str) -> Source:
    document = _document(path, content)
    notes = tuple(str(problem) for problem in document.problems)
    if ours := _our_part(document.data):
        settings = (*_implied(document, ours), *_settings(document, ours.hyperparameters))
        return Source(str(path), settings, notes, ours.model, ours.data, path.parent)
    settings = tuple(_settings(document, ()))
    if "model_type" in document.data:
        settings = tuple(setting for setting in settings if setting.key in _SHAPE)
    return Source(str(path), settings, notes)


def _document(path: Path, content: str) -> Document:
    if path.suffix == ".json":  # where tabs may stand between values, as in YAML they may not
        content = content.replace("\t", " ")
    try:
        node = compose(content)
        if isinstance(node, yaml.MappingNode):
            return document_of(node, path.name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"--config {place}: {syntax_message(error)} ({_ALLOWED})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--config {path}: not text that YAML allows ({error})") from error
    except StudyFileError as error:
        raise UsageError(f"--config {error}") from error
    raise UsageError(f"--config {path}: no mapping of keys to values in it ({_ALLOWED})")


@dataclass(frozen=True)
class _OurPart:
    """Where a file of our own make, a study or a manifest, keeps what describes a run.

    Such a file leaves nothing open, and names base and corpus in a way that is sure to be read
    rightly.
    """

    hyperparameters: KeyPath
    tokens: KeyPath
    model_key: KeyPath
    model: str | None
    data: str | None


def _our_part(data: Mapping[str, object]) -> _OurPart | None:
    plan = data.get("plan")
    if isinstance(plan, Mapping) and "hyperparameters" in plan:
        top: KeyPath = ("plan",)
        paths = ((*top, "hyperparameters"), (*top, "tokens"), (*top, "model"))
        return _OurPart(*paths, *_model_and_data(plan))
    if {"name", "budget"} <= data.keys():
        paths = (("baseline", "hyperparameters"), ("budget", "tokens_per_trial"), ("model",))
        return _OurPart(*paths, *_model_and_data(data))
    return None


def _model_and_data(data: Mapping[str, object]) -> tuple[str | None, str | None]:
    texts = (data.get("model"), _at(data, ("data", "train")))
    model, train = (text if isinstance(text, str) else None for text in texts)
    return model, train


def _implied(document: Document, ours: _OurPart) -> Iterator[Setting]:
    """Defaults, length and kind of base; nothing where the hyperparameters are wrong."""
    written = _at(document.data, ours.hyperparameters)
    try:
        recipe = Hyperparameters.model_validate(written or {})
    except ValidationError:
        return  # the settings themselves are judged one by one, with their lines
    for name, value in recipe.model_dump().items():
        if name not in recipe.model_fields_set:
            yield Setting(name, value, f"{document.file} (default)")
    try:
        tokens = Tokens().check(_at(document.data, ours.tokens))
    except PydanticCustomError:
        return
    yield Setting("total_steps", recipe.steps_within(tokens), _place(document, ours.tokens))
    if ours.model is not None and not ours.model.startswith((".", "/", "~")):
        is_pretrained = ours.model != "builtin:untrained"  # what a directory holds, weights tell
        yield Setting("pretrained", is_pretrained, _place(document, ours.model_key))


def _at(value: object, path: KeyPath) -> object:
    for key in path:
        value = value.get(str(key)) if isinstance(value, Mapping) else None
    return value


def _place(document: Document, path: KeyPath) -> str:
    place = document.keys.get(path)
    return f"{document.file}:{place.line}" if place else document.file


def _settings(document: Document, part: KeyPath) -> Iterator[Setting]:
    for path, leaf in _leaves(_at(document.data, part), ()):
        yield Setting(".".join(path), leaf, _place(document, (*part, *path)))


def _leaves(value: object, path: Sequence[str]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Everything below a mapping that is none itself, with its keys."""
    if not isinstance(value, Mapping):
        return
    for key, part in value.items():
        if isinstance(part, Mapping):
            yield from _leaves(part, (*path, key))
        else:
            yield (*path, key), part
