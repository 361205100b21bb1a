"""What no line of the package may do, whatever its input: read pickles, run text, trust a model."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal"}
_NAMES = {"eval", "exec", "compile", "__import__"}
_CALLS = {
    "os.system": "runs a text in a shell",
    "os.popen": "runs a text in a shell",
    "subprocess.getoutput": "runs a text in a shell",
    "subprocess.getstatusoutput": "runs a text in a shell",
    "tempfile.mktemp": "names a file that another may make first",
    **{
        f"yaml.{name}": "builds what the text asks for"
        for name in ("load", "load_all", "full_load", "full_load_all", "unsafe_load")
    },
    **{f"joblib.{name}": "reads or writes a pickle" for name in ("load", "dump")},
}
# A call that is safe with one of its arguments only: the argument, and the value it must have.
_NEEDED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "from_pretrained": ("trust_remote_code", False),
}
# Arguments that may have one value only, in whatever call.
_FIXED = {"shell": False, "trust_remote_code": False, "allow_pickle": False, "weights_only": True}
# Whether an exception can be sent to another process is tried in memory, on our own bytes.
_EXEMPT = {"search/workers/child.py": ("pickle is imported",)}


def offences(source: str) -> list[str]:
    """What a module's text does that it must not, each with its line."""
    return [
        f"{node.lineno}: {what}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.Call))
        for what in _offences_of(node)
    ]


def offences_below(folder: Path) -> list[str]:
    """The offences of all modules of a package, but for those of `_EXEMPT`."""
    return [
        f"{path.relative_to(folder)}:{offence}"
        for path in sorted(folder.rglob("*.py"))
        for offence in offences(path.read_text("utf-8"))
        if offence.partition(": ")[2] not in _EXEMPT.get(path.relative_to(folder).as_posix(), ())
    ]


def _offences_of(node: ast.Import | ast.ImportFrom | ast.Call) -> Iterator[str]:
    if isinstance(node, ast.Call):
        yield from _offences_of_call(node)
        return
    origin = (node.module or "",) if isinstance(node, ast.ImportFrom) else ()
    for module in (*origin, *(alias.name for alias in node.names)):
        if module.split(".")[0] in _MODULES:
            yield f"{module} is imported"
    if isinstance(node, ast.ImportFrom):
        for alias in node.names:
            if (name := f"{node.module}.{alias.name}") in _CALLS.keys() | _NEEDED.keys():
                yield f"{name} is imported by its own name, under which no rule finds it"


def _dotted(node: ast.expr) -> str:
    """A name as written, such as `torch.load`; of what is computed, the last part."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _offences_of_call(call: ast.Call) -> Iterator[str]:
    name = _dotted(call.func)
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in _NAMES:
        yield f"{name} runs a text"
    if name in _CALLS:
        yield f"{name} {_CALLS[name]}"
    needed = _NEEDED.get(name) or (_NEEDED.get(name.rpartition(".")[2]) if "Auto" in name else None)
    if needed and needed[0] not in arguments:
        yield f"{name} needs {needed[0]}={needed[1]}"
    for argument, value in _FIXED.items():
        given = arguments.get(argument)
        if given is not None and not (isinstance(given, ast.Constant) and given.value is value):
            yield f"{name} has {argument}={ast.unparse(given)}"
