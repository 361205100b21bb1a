"""Questions and answers from the docstrings of Python's own standard library, offline.

Sources are parsed, not imported, so nothing runs and every module of every platform is there;
only a few modules written in C, which have no source to parse, are imported.

The text follows the Python version: another one gives another corpus, and the corpus's
fingerprint says so.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType

from sweeper.data.document import Document, question_and_answer
from sweeper.errors import DataError
from sweeper.kept import kept, stamps

PYDOC_QA = "builtin:pydoc-qa"
PYTHON_REFERENCE = "builtin:python-reference"

MIN_DOCSTRING_CHARACTERS = 45
MAX_ANSWER_CHARACTERS = 800

# Jokes, test suites, graphical programs and codec tables: hardly any prose worth asking for.
_NOT_PROSE = (
    "antigravity encodings ensurepip idlelib msilib nturl2path pydoc_data site-packages test tests "
    "this tkinter turtle turtledemo"
)
# Gone from Python 3.12 or 3.13 (PEP 594, PEP 632): left out everywhere, to keep versions alike.
_REMOVED = (
    "aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp lib2to3 mailcap "
    "nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib"
)
_SKIPPED_MODULES = frozenset(f"{_NOT_PROSE} {_REMOVED}".split())
# Modules in C, the same on every platform. `_io` and the like hold what public modules re-export.
_C_MODULES = {
    "builtins": "builtins",
    "cmath": "cmath",
    "math": "math",
    "itertools": "itertools",
    "time": "time",
    "array": "array",
    "binascii": "binascii",
    "gc": "gc",
    "marshal": "marshal",
    "sys": "sys",
    "unicodedata": "unicodedata",
    "zlib": "zlib",
    "_collections": "collections",
    "_functools": "functools",
    "_io": "io",
    "_struct": "struct",
}
# `sys.excepthook` and its like are there for programs to replace: the corpus must not hang on
# what this program has done to them.
_REPLACED = "hook"
_QUESTIONS = {
    "module": "What is the `{}` module for?",
    "class": "What is `{}`?",
    "exception": "What does the exception `{}` mean?",
    "function": "What does `{}` do?",
    "method": "What does the method `{}` do?",
    "property": "What does the attribute `{}` hold?",
}


@dataclass(frozen=True)
class _Entry:
    """A public thing with a docstring; `signature` is empty where there is none to show."""

    name: str
    kind: str
    signature: str
    docstring: str


def pydoc_questions() -> tuple[Document, ...]:
    """A document for each public module, class, function and method with a docstring.

    Raises:
        DataError: This Python comes without the sources of its standard library.
    """
    entries: dict[str, _Entry] = {}
    for entry in _entries():
        entries.setdefault(entry.name, entry)
    documents = tuple(_document(entry) for _, entry in sorted(entries.items()))
    if len(documents) < 1_000:
        raise DataError(
            f"{PYDOC_QA}: the standard library of this Python has only {len(documents)} "
            f"docstrings; it comes without sources, so use another Python or a corpus of your own"
        )
    return documents


def general_text() -> tuple[str, ...]:
    """Python's language reference by topic: general text to pretrain a tiny base on.

    Raises:
        DataError: This Python comes without `pydoc_data`.
    """
    return tuple(document.text for document in reference_topics())


def reference_topics() -> tuple[Document, ...]:
    """The topics of `help()`, sorted by key, without answers.

    Raises:
        DataError: This Python comes without `pydoc_data`.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            f"{PYTHON_REFERENCE}: this Python comes without pydoc_data.topics, which some "
            f"distributions leave out; install the full standard library, or name a corpus of "
            f"your own"
        ) from error
    return tuple(
        Document(text.strip(), f"{PYTHON_REFERENCE}/{key}") for key, text in sorted(topics.items())
    )


def _document(entry: _Entry) -> Document:
    answer = _shorten(entry.docstring, MAX_ANSWER_CHARACTERS)
    if entry.signature:
        answer = f"`{entry.signature}`\n\n{answer}"
    question = _QUESTIONS[entry.kind].format(entry.name)
    return question_and_answer(question, answer, f"{PYDOC_QA}/{entry.name}")


def _shorten(text: str, max_characters: int) -> str:
    """Ends a text at a paragraph, or else at a line or a word, before it grows too long."""
    if len(text) <= max_characters:
        return text
    for border in ("\n\n", "\n", " "):
        end = text.rfind(border, max_characters // 3, max_characters)
        if end >= 0:
            return text[:end].rstrip()
    return text[:max_characters]


def _entries() -> Iterator[_Entry]:
    yield from _source_entries()
    for implementation, name in _C_MODULES.items():
        yield from _walk_c_module(implementation, name)


@cache  # a process may lay out several studies of it
def _source_entries() -> tuple[_Entry, ...]:
    """Parsed once on this machine: that takes seconds, before the first step of every worker."""
    library = Path(os.__file__).parent
    names = filter(_is_public, sorted(sys.stdlib_module_names))
    sources = [source for name in names for source in _walk_sources(library / name, name)]

    def read() -> list[tuple[str, ...]]:
        return [astuple(entry) for source in sources for entry in _read_module(*source)]

    paths = [path for path, _ in sources]
    made_from = [sys.version, stamps([*paths, Path(__file__)])]
    return tuple(_Entry(*row) for row in kept("pydoc-qa", made_from, read))


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name not in _SKIPPED_MODULES


def _walk_sources(path: Path, name: str) -> Iterator[tuple[Path, str]]:
    """A module's file, or a package's files and its packages within; each with its name."""
    if path.with_suffix(".py").is_file():
        yield path.with_suffix(".py"), name
    elif (path / "__init__.py").is_file():
        yield path / "__init__.py", name
        inner = {child.stem for child in path.iterdir() if child.suffix in ("", ".py")}
        for child in sorted(filter(_is_public, inner)):
            yield from _walk_sources(path / child, f"{name}.{child}")


def _read_module(path: Path, name: str) -> Iterator[_Entry]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        tree = ast.parse(path.read_bytes())
    yield from _entry(name, "module", "", ast.get_docstring(tree))
    yield from _walk_body(tree.body, name)


def _walk_body(body: list[ast.stmt], name: str, kind: str = "function") -> Iterator[_Entry]:
    """Definitions in a module (`kind` is `function`) or in a class (`method`)."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _walk_body([*node.body, *node.orelse], name, kind)
        elif isinstance(node, ast.ClassDef) and _is_public(node.name):
            inner = f"{name}.{node.name}"
            yield from _entry(
                inner, _class_kind(node), _class_signature(node), ast.get_docstring(node)
            )
            yield from _walk_body(node.body, inner, "method")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_public(node.name):
            is_property = any(ast.unparse(d).endswith("property") for d in node.decorator_list)
            yield from _entry(
                f"{name}.{node.name}",
                "property" if is_property else kind,
                "" if is_property else _signature(node, kind),
                ast.get_docstring(node),
            )


def _entry(name: str, kind: str, signature: str, docstring: str | None) -> Iterator[_Entry]:
    text = inspect.cleandoc(docstring or "").strip()
    if len(text) >= MIN_DOCSTRING_CHARACTERS:
        yield _Entry(name, kind, signature, text)


def _class_kind(node: ast.ClassDef) -> str:
    is_exception = node.name.endswith(("Error", "Exception", "Warning"))
    return "exception" if is_exception else "class"


def _class_signature(node: ast.ClassDef) -> str:
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return node.name + _arguments(inner, drop_first=True)
    return ""


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, kind: str) -> str:
    is_static = any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
    return node.name + _arguments(node, drop_first=kind == "method" and not is_static)


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef, *, drop_first: bool) -> str:
    arguments = node.args
    if drop_first:
        if arguments.posonlyargs:
            del arguments.posonlyargs[0]
        elif arguments.args:
            del arguments.args[0]
    # A default for `self` does not exist, so dropping it keeps the defaults aligned.
    return f"({ast.unparse(arguments)})"


def _walk_c_module(implementation: str, name: str) -> Iterator[_Entry]:
    try:
        module = importlib.import_module(implementation)
    except ImportError:  # an optional one, such as zlib
        return
    if implementation == name:
        yield from _entry(name, "module", "", inspect.getdoc(module))
    for key, value in sorted(vars(module).items()):
        if not _is_public(key):
            continue
        qualified = key if name == "builtins" else f"{name}.{key}"
        if inspect.isclass(value):
            kind = "exception" if issubclass(value, BaseException) else "class"
            yield from _entry(qualified, kind, "", value.__doc__)
            yield from _walk_c_class(value, qualified)
        elif _is_own_function(key, value):
            yield from _entry(qualified, "function", _c_signature(key, value), value.__doc__)


def _is_own_function(name: str, value: object) -> bool:
    """Whether a module's entry is the function that the interpreter came with."""
    is_original = isinstance(value, BuiltinFunctionType) and value.__name__ == name
    return is_original and not name.endswith(_REPLACED)


def _walk_c_class(owner: type, name: str) -> Iterator[_Entry]:
    for key, value in sorted(vars(owner).items()):
        if not _is_public(key):
            continue
        if inspect.isroutine(value):
            yield from _entry(f"{name}.{key}", "method", "", getattr(owner, key).__doc__)
        elif inspect.isdatadescriptor(value):
            yield from _entry(f"{name}.{key}", "property", "", value.__doc__)


def _c_signature(name: str, value: object) -> str:
    text = getattr(value, "__text_signature__", None)
    return f"{name}{text.replace('$module, ', '').replace('$module', '')}" if text else ""
