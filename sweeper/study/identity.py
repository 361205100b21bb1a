"""What makes two study files the same study, and how two differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

_TOP_LEVEL_OUTSIDE = frozenset({"verify", "workers", "storage", "artifacts", "output"})
_ENGINE_OUTSIDE = frozenset({"grace"})
_PRUNE_OUTSIDE = frozenset({"audit"})
_BUDGET_OUTSIDE = frozenset({"trials", "tokens", "wall_clock", "time_per_trial", "price"})
# Keys that were added to a part, by what every study from before them means.
_ADDED: dict[str, dict[str, object]] = {
    "data": {"test": None},
    "evaluate": {"split": "validation", "first_tokens": None},
    "search": {"only_where": {}, "prior": "none", "warm_start": None},
}


def identity_of(plain: Mapping[str, object]) -> dict[str, object]:
    """A study's plain form without what may change while the study stays the same.

    Left out are how long it may go on (trials, tokens, time) and what an hour costs, how many
    stops are audited, what is done after the search, who works on it, how long a command may take
    to leave, and where its results lie; and so is a key that was added since and says what a study
    from before it means.
    """
    identity = {key: part for key, part in plain.items() if key not in _TOP_LEVEL_OUTSIDE}
    for key, added in _ADDED.items():
        part = identity.get(key)
        if isinstance(part, Mapping):
            identity[key] = {k: v for k, v in part.items() if k not in added or v != added[k]}
    budget = identity.get("budget")
    if isinstance(budget, Mapping):
        identity["budget"] = {k: part for k, part in budget.items() if k not in _BUDGET_OUTSIDE}
    prune = identity.get("prune")
    if isinstance(prune, Mapping):
        identity["prune"] = {k: part for k, part in prune.items() if k not in _PRUNE_OUTSIDE}
    engine = identity.get("engine")
    if isinstance(engine, Mapping):
        identity["engine"] = {k: part for k, part in engine.items() if k not in _ENGINE_OUTSIDE}
    return identity


def digest_of(identity: Mapping[str, object]) -> str:
    """SHA-256 (hexadecimal) of an identity, whatever the order of its keys."""
    text = json.dumps(identity, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def identity_differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """One line for each place where two identities differ; none where they are equal."""
    return list(_differences("", old, new))


def _differences(path: str, old: object, new: object) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _entry(f"{path}.{key}" if path else str(key), key, old, new)
    elif (olds := _mappings(old)) is not None and (news := _mappings(new)) is not None:
        yield from _differences(path, olds, news)
    elif old != new:
        yield f"{path}: {_text(old)} -> {_text(new)}"


def _entry(
    path: str, key: object, old: Mapping[object, object], new: Mapping[object, object]
) -> Iterator[str]:
    if key not in new:
        yield f"{path}: {_text(old[key])} -> (removed)"
    elif key not in old:
        yield f"{path}: (not there) -> {_text(new[key])}"
    else:
        yield from _differences(path, old[key], new[key])


def _mappings(value: object) -> dict[int, object] | None:
    """The items of a list of mappings by index, so that they compare one by one."""
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        return dict(enumerate(value))
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
