"""All that a diagnosis may look at: the log, and what else the user could give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from sweeper.curves import Curve, Finding, FindingKind
from sweeper.curves.series import Series
from sweeper.logs import Log


class Evidence(StrEnum):
    """Kinds of evidence that a rule may need, in the words of the report."""

    LOG = "log"
    VALIDATION = "validation loss"
    GRADIENTS = "gradient norms"
    RATE = "learning rate"
    TIMES = "step times"
    LOSS_SCALE = "loss scale"
    CONFIG = "config"
    DATA = "data"
    MODEL = "model"
    TRIAL = "trial"


@dataclass(frozen=True)
class RunConfig:
    """How the run was set up, as far as it is known.

    Values are by sweeper's own names (`learning_rate`, `block_size`, `batch_size`, `accumulation`,
    `schedule`, `warmup`, `warmup_start_factor`, `floor_factor`, `weight_decay`, `clip_norm`,
    `rank`, `alpha`, `dropout`, `target_modules`, `train_also`, `precision`, `seed`) and, beyond
    them, `total_steps`, `vocab_size`, `pretrained` (bool), `num_heads`, `num_layers`,
    `hidden_size`, `trained_parameters`, `num_epochs`, `eval_steps`, `save_steps`, `optimizer`. A
    key that is missing is unknown; a `clip_norm` of None is known to be off. A run elsewhere may
    have what ours cannot: a `precision` of fp16, `target_modules` of all-linear.

    Attributes:
        values: What is known.
        origins: For each key of `values`, where it is from: `run.yaml:3`, `--config`, `log`,
            `weights`, `checkpoint names`.
        ignored: Keys of the given configuration that mean nothing here.
        notes: Where two sources disagree, and what could not be read, a sentence each.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def get(self, name: str) -> object:
        """The value, or None where it is unknown (or known to be off)."""
        return self.values.get(name)

    def number(self, name: str) -> float | None:
        """The value if it is a number."""
        value = self.values.get(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if is_number else None  # type: ignore[arg-type]

    def is_known(self, name: str) -> bool:
        """Whether anything said so."""
        return name in self.values

    @property
    def tokens_per_step(self) -> int | None:
        """block_size x batch_size x accumulation (1 where it is not mentioned)."""
        block, batch = self.number("block_size"), self.number("batch_size")
        if block is None or batch is None:
            return None
        return int(block * batch * (self.number("accumulation") or 1))


@dataclass(frozen=True)
class DuplicateGroup:
    """Documents that are equal, or nearly so.

    Attributes:
        names: The documents, in the order of the corpus.
        similarity: 1 for equal ones; else the least estimated Jaccard similarity to the first.
    """

    names: tuple[str, ...]
    similarity: float = 1.0


@dataclass(frozen=True)
class RepeatedSection:
    """One passage that stands in several places.

    Attributes:
        text: Its beginning, for the reader to recognise.
        num_tokens: Its length.
        names: The documents in which it stands.
        positions_tokens: Where each copy begins, in tokens from the start of the corpus.
    """

    text: str
    num_tokens: int
    names: tuple[str, ...]
    positions_tokens: tuple[int, ...]


@dataclass(frozen=True)
class DriftWindow:
    """How unlike one stretch of the corpus is to the rest.

    Attributes:
        start_tokens: First token, from the start of the corpus.
        end_tokens: One past the last.
        divergence_nats: Jensen-Shannon divergence between its unigrams and the others'.
        z: The same in robust standard deviations of all windows.
    """

    start_tokens: int
    end_tokens: int
    divergence_nats: float
    z: float


@dataclass(frozen=True)
class Passage:
    """A document, or the part of one, that was read at an event.

    Attributes:
        name: The document.
        start_tokens: First token of the part, from the start of the corpus (or of the stream of a
            sweeper trial).
        num_tokens: Its length.
        epoch: The pass over the corpus, from 0.
        remarks: What is odd about it, in words: `equal to faq.md:120`, `repeated 14 times`.
    """

    name: str
    start_tokens: int
    num_tokens: int
    epoch: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class CorpusFacts:
    """What the training text says about itself.

    Attributes:
        source: As the user named it.
        num_documents: In all.
        num_tokens: In all, by `tokenizer`.
        tokenizer: Whose tokens these are, in words; `is_exact` says whether they are the run's.
        is_exact: Whether the run's own tokenizer was used.
        vocab_size: Of that tokenizer.
        unigram_nats: Entropy of its unigrams, in nats a token.
        bigram_nats: Conditional entropy of its bigrams (held out, smoothed), in nats a token.
        exact_duplicates: Groups of equal documents.
        near_duplicates: Groups of nearly equal ones.
        repeated_sections: Long passages that stand in several places.
        drift: Every window of the corpus, in order.
        events: For each event step: what was read there, assuming the corpus was read in order
            (or exactly, for a sweeper trial).
        order_is_known: Whether `events` rests on the run's own order of batches.
        split_duplicates: Documents that stand on both sides of the split, where one is known.
    """

    source: str
    num_documents: int
    num_tokens: int
    tokenizer: str
    is_exact: bool
    vocab_size: int
    unigram_nats: float
    bigram_nats: float
    exact_duplicates: tuple[DuplicateGroup, ...] = ()
    near_duplicates: tuple[DuplicateGroup, ...] = ()
    repeated_sections: tuple[RepeatedSection, ...] = ()
    drift: tuple[DriftWindow, ...] = ()
    events: Mapping[int, tuple[Passage, ...]] = field(default_factory=dict)
    order_is_known: bool = False
    split_duplicates: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """What the base on disk says about itself.

    Attributes:
        source: As the user named it.
        vocab_size: Rows of the embedding, by its config or its tensors.
        hidden_size: Width; None where the config does not tell.
        initializer_range: Standard deviation of fresh weights, by its config.
        tokenizer_size: Tokens that its tokenizer has; None where there is none.
        looks_untrained: Whether the weights look freshly drawn; None where none could be read.
        weights_evidence: Why, with numbers.
        missing: Tensors that the config implies and the files lack.
    """

    source: str
    vocab_size: int
    hidden_size: int | None = None
    initializer_range: float | None = None
    tokenizer_size: int | None = None
    looks_untrained: bool | None = None
    weights_evidence: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """Everything that rules may look at; what was not given is None.

    Attributes:
        log: The log.
        findings: What the detectors say about its curve.
        config: The run's set-up; empty where nothing is known.
        corpus: The training text.
        model: The base.
        is_trial: Whether the log is a sweeper trial, whose batches are known exactly.
        checkpoint_steps: Step and file name of every checkpoint that was found.
        notes: What was given and is used only in part, a sentence each.
    """

    log: Log
    findings: tuple[Finding, ...]
    config: RunConfig = RunConfig()
    corpus: CorpusFacts | None = None
    model: ModelFacts | None = None
    is_trial: bool = False
    checkpoint_steps: Sequence[tuple[int, str]] = ()
    notes: tuple[str, ...] = ()

    @property
    def curve(self) -> Curve:
        """The log's curve."""
        return self.log.curve

    @cached_property
    def losses(self) -> Mapping[str, Series]:
        """`train_loss` and `val_loss` where they are finite; read once, for curves may be long."""
        return {name: Series.of(self.curve, name) for name in ("train_loss", "val_loss")}

    def of_kind(self, *kinds: FindingKind) -> tuple[Finding, ...]:
        """The findings of some kinds, in the order of their steps."""
        return tuple(finding for finding in self.findings if finding.kind in kinds)

    @property
    def evidence(self) -> frozenset[Evidence]:
        """What there is to go by."""
        there = {Evidence.LOG}
        columns = {
            Evidence.VALIDATION: "val_loss",
            Evidence.GRADIENTS: "grad_norm",
            Evidence.RATE: "learning_rate",
            Evidence.TIMES: "step_seconds",
            Evidence.LOSS_SCALE: "loss_scale",
        }
        there |= {
            kind
            for kind, name in columns.items()
            if any(getattr(point, name) is not None for point in self.curve)
        }
        if self.config.is_known("learning_rate"):
            there |= {Evidence.RATE}
        parts = {
            Evidence.CONFIG: bool(self.config.values),
            Evidence.DATA: self.corpus is not None,
            Evidence.MODEL: self.model is not None,
            Evidence.TRIAL: self.is_trial,
        }
        return frozenset(there | {kind for kind, is_there in parts.items() if is_there})
