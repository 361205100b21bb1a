"""All that recipes of one study share in a process: base, tokens, validation set, engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from sweeper.data import (
    SEGMENT_TOKENS,
    Blocks,
    TokenizedDocuments,
    TokenStream,
    evaluation_blocks,
    tokenize_documents,
)
from sweeper.errors import BaseError, DataError
from sweeper.models.base import Base, load_tokenizer
from sweeper.training.bases import prepare_base
from sweeper.training.device import Device
from sweeper.training.ground import Ground, check_corpus, split_corpus
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.setup import PrecisionChoice
from sweeper.training.trainer import Report


@dataclass(frozen=True)
class Workbench:
    """A ground made ready in this process.

    Attributes:
        ground: What was made ready.
        base: The frozen model.
        device: Where trials are trained.
        tokenized: The training documents.
        validation: The one set that all trials are judged on, of the side that is asked for.
        corpus_fingerprint: SHA-256 of the corpus.
        num_documents: Documents of the corpus, and how many of them were double.
        num_duplicates: See there.
        warnings: What was odd about the corpus.
        precision: What `precision: auto` came to, where that is decided already.
    """

    ground: Ground
    base: Base
    device: Device
    tokenized: TokenizedDocuments
    validation: Blocks
    corpus_fingerprint: str
    num_documents: int
    num_duplicates: int
    warnings: tuple[str, ...]
    precision: PrecisionChoice | None = None

    def new_engine(self) -> PeftEngine:
        """The reference engine, with the base loaded."""
        return PeftEngine(self.base, self.device)

    def stream(self, seed: int) -> TokenStream:
        """Training tokens in the order of a seed."""
        return _stream(self.tokenized, seed)

    def check_block_size(self, block_size: int) -> None:
        """Refuse blocks that the base has no positions for.

        Raises:
            BaseError: They are longer than the base allows.
        """
        limit = self.base.max_block_size
        if limit is not None and block_size > limit:
            raise BaseError(
                f"block_size: {block_size} is more than the {limit} positions of "
                f"{self.base.source} (allowed: up to {limit})"
            )


@lru_cache(maxsize=4)
def _stream(tokenized: TokenizedDocuments, seed: int) -> TokenStream:
    return TokenStream(tokenized, seed=seed)


def set_up(
    ground: Ground,
    device: Device,
    report: Report = lambda *_: None,
    precision: PrecisionChoice | None = None,
) -> Workbench:
    """Find or make the base, read, split and tokenize the corpus.

    Args:
        ground: What trials stand on.
        device: Where they are trained.
        report: Told of the base's pretraining.
        precision: See `Workbench`.

    Raises:
        BaseError: The base cannot be used.
        DataError: The corpus cannot be used.
    """
    check_corpus(ground)
    base = prepare_base(ground.model, ground.folder, report)
    return replace(lay_out(ground, base, device), precision=precision)


def lay_out(ground: Ground, base: Base, device: Device) -> Workbench:
    """The rest of `set_up`, for a base that is at hand."""
    corpus, split = split_corpus(ground)
    tokenizer = load_tokenizer(base)

    def tokenize(side: str) -> TokenizedDocuments:
        return tokenize_documents(
            getattr(split, side),
            tokenizer.tokenizer,
            segment_tokens=SEGMENT_TOKENS,
            end_of_text_id=tokenizer.end_of_text_id,
            loss_on=ground.data.loss_on,
        )

    def blocks_of(side: str) -> Blocks:
        return evaluation_blocks(
            tokenize(side),
            block_size=ground.evaluate.block_size,
            max_tokens=ground.evaluate.tokens,
            side=side,
        )

    # Both, so that a test side which is too small is refused before a search is spent.
    sides = ["validation"] if ground.data.test is None else ["validation", "test"]
    judged = {side: blocks_of(side) for side in sides}
    bench = Workbench(
        ground=ground,
        base=base,
        device=device,
        tokenized=tokenize("train"),
        validation=judged[ground.evaluate.split],
        corpus_fingerprint=corpus.fingerprint,
        num_documents=len(corpus.documents),
        num_duplicates=split.num_duplicates,
        warnings=corpus.warnings,
    )
    bench.check_block_size(ground.evaluate.block_size)
    if bench.stream(0).epoch_tokens < ground.evaluate.block_size:
        raise DataError(f"data.train: {ground.data.train} has fewer tokens than one block")
    return bench
