"""A tokenizer whose tokens are characters, so that a test can read what it made."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.data import Document, TokenizedDocuments, tokenize_documents

END = 0


@dataclass(frozen=True)
class FakeEncoding:
    ids: list[int]
    offsets: list[tuple[int, int]]


class CharacterTokenizer:
    """Token id = code point; spans are exact."""

    def encode_batch(
        self, input: list[str], *, add_special_tokens: bool = True
    ) -> list[FakeEncoding]:
        assert not add_special_tokens
        return [
            FakeEncoding([ord(c) for c in text], [(i, i + 1) for i in range(len(text))])
            for text in input
        ]


def tokenize(*texts: str, segment_tokens: int = 1024) -> TokenizedDocuments:
    """Texts by character; the document of `texts[i]` is named `doc:i`."""
    documents = [Document(text, f"doc:{i}") for i, text in enumerate(texts)]
    return tokenize_documents(
        documents, CharacterTokenizer(), segment_tokens=segment_tokens, end_of_text_id=END
    )
