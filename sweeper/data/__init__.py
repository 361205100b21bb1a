"""Corpora as tokens: reading, splitting, and the stream of blocks that every trial sees.

Depends on NumPy alone; a tokenizer is passed in.
"""

from sweeper.data.blocks import IGNORED_TARGET, Blocks, evaluation_blocks, training_blocks
from sweeper.data.corpus import BUILTIN_CORPORA, FORMATS, read_corpus
from sweeper.data.detour import Detour, Tokens
from sweeper.data.document import Corpus, Document, document_key
from sweeper.data.entropy import bigram_entropy, context_free_losses, unigram_entropy
from sweeper.data.pydoc_qa import general_text
from sweeper.data.split import Split, split_documents
from sweeper.data.stream import Location, TokenStream
from sweeper.data.tokens import (
    SEGMENT_TOKENS,
    LossOn,
    TokenizedDocuments,
    Tokenizer,
    tokenize_documents,
)

__all__ = [
    "BUILTIN_CORPORA",
    "FORMATS",
    "IGNORED_TARGET",
    "SEGMENT_TOKENS",
    "Blocks",
    "Corpus",
    "Detour",
    "Document",
    "Location",
    "LossOn",
    "Split",
    "TokenStream",
    "TokenizedDocuments",
    "Tokenizer",
    "Tokens",
    "bigram_entropy",
    "context_free_losses",
    "document_key",
    "evaluation_blocks",
    "general_text",
    "read_corpus",
    "split_documents",
    "tokenize_documents",
    "training_blocks",
    "unigram_entropy",
]
