"""A base's tokenizer without transformers: enough to count and to place tokens."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.errors import BaseError

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_END_OF_TEXT = ("<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>")


@dataclass(frozen=True)
class BareTokenizer:
    """What a folder's tokenizer files say.

    Attributes:
        tokenizer: A `tokenizers.Tokenizer` that neither cuts nor pads.
        size: Ids that it can make.
        end_of_text_id: The id of its end-of-text token; None where none is known.
        splits_into_words: Whether it encodes word by word after GPT-2's pattern, so that a text's
            tokens are those of its words.
        whole_texts: Its added tokens, which it finds inside of words too.
    """

    tokenizer: Any
    size: int
    end_of_text_id: int | None
    splits_into_words: bool
    whole_texts: tuple[str, ...]


def has_tokenizer(folder: Path) -> bool:
    """Whether a tokenizer lies there that can be read without transformers."""
    return (folder / "tokenizer.json").is_file() or (folder / "merges.txt").is_file()


def read_bare_tokenizer(folder: Path, source: str) -> BareTokenizer:
    """Read `tokenizer.json`, or GPT-2's older pair of `vocab.json` and `merges.txt`.

    Args:
        folder: Where it lies.
        source: What messages call it.

    Raises:
        BaseError: There is none, or it is damaged.
    """
    if not has_tokenizer(folder):
        raise BaseError(
            f"model: {source} has no tokenizer.json. Save one beside the weights with "
            "tokenizer.save_pretrained(...)"
        )
    try:
        description = _describe(folder)
    except (OSError, ValueError) as error:
        raise BaseError(
            f"model: {source} has a tokenizer that cannot be read ({error}); save it again with "
            "tokenizer.save_pretrained(...)"
        ) from error
    tokenizer = _load(folder, description)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    added = (token.get("content", "") for token in description.get("added_tokens") or ())
    return BareTokenizer(
        tokenizer,
        int(tokenizer.get_vocab_size()),
        _end_of_text(folder, tokenizer),
        _is_gpt2_like(description),
        tuple(filter(None, added)),
    )


def read_plain_tokenizer(folder: Path, source: str) -> BareTokenizer | None:
    """A tokenizer whose files say all that transformers would make of them; None for another.

    That is one of GPT-2's kind, in a `tokenizer.json`, with its end-of-text token named. To import
    transformers for it would take a worker a second or two.

    Args:
        folder: Where it lies.
        source: What messages call it.
    """
    if not (folder / "tokenizer.json").is_file() or _named_end_of_text(folder) is None:
        return None
    with suppress(BaseError):  # then transformers says what is wrong with it
        tokenizer = read_bare_tokenizer(folder, source)
        if tokenizer.splits_into_words:
            return tokenizer
    return None


def _describe(folder: Path) -> dict[str, Any]:
    """The contents of `tokenizer.json`, or what stands for them beside an older pair of files.

    Raises:
        ValueError: It is not what the tokenizers library can read; it tells so little itself.
    """
    if not (folder / "tokenizer.json").is_file():
        vocabulary = _json(folder / "vocab.json")
        return {"model": {"type": "BPE", "vocab": vocabulary}, "pre_tokenizer": _BYTE_LEVEL}
    description = _json(folder / "tokenizer.json")
    model = description.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), (dict, list)):
        raise ValueError("tokenizer.json has no model with a vocabulary")
    if model.get("type") == "BPE" and not isinstance(model.get("merges"), list):
        raise ValueError("tokenizer.json has no merges")
    return description


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is no mapping")
    return content


def _load(folder: Path, description: dict[str, Any]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer = Tokenizer(
        models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([t for t in _END_OF_TEXT if t in description["model"]["vocab"]])
    return tokenizer


def _end_of_text(folder: Path, tokenizer: Any) -> int | None:
    """By the tokenizer's own configuration, else by its usual spellings."""
    named = _named_end_of_text(folder)
    ids = (tokenizer.token_to_id(text) for text in (named, *_END_OF_TEXT) if text)
    return next((int(number) for number in ids if number is not None), None)


def _named_end_of_text(folder: Path) -> str | None:
    with suppress(OSError, ValueError):
        token = _json(folder / "tokenizer_config.json").get("eos_token")
        content = token.get("content") if isinstance(token, dict) else token
        return content if isinstance(content, str) else None
    return None


def _is_gpt2_like(description: dict[str, Any]) -> bool:
    """Whether words are found by GPT-2's pattern in the text as it stands."""
    splitter = description.get("pre_tokenizer")
    return (
        isinstance(splitter, dict)
        and {key: splitter.get(key) for key in _BYTE_LEVEL} == _BYTE_LEVEL
        and description.get("normalizer") is None
    )
