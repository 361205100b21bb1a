"""A training script as one writes it for oneself: a small character-level GPT in plain torch.

It knows nothing of sweeper. Its settings come from environment variables, its losses go to
standard output, and it runs by itself:

    TRAINING_STEPS=120 BLOCK_SIZE=64 BATCH_SIZE=32 LEARNING_RATE=3e-3 python training.py

The text is the language reference that comes with Python, so nothing has to be downloaded.
"""

import math
import os
import time
from pydoc_data.topics import topics

import torch
from torch import nn
from torch.nn import functional as F

STEPS = int(os.environ.get("TRAINING_STEPS", "120"))
BLOCK_SIZE = int(os.environ.get("BLOCK_SIZE", "128"))
BATCH_SIZE = int(os.environ.get("BATCH_SIZE", "8"))
ACCUMULATION = int(os.environ.get("ACCUMULATION", "1"))
LEARNING_RATE = float(os.environ.get("LEARNING_RATE", "2e-5"))
SCHEDULE = os.environ.get("SCHEDULE", "cosine")
WARMUP_STEPS = int(os.environ.get("WARMUP_STEPS", "12"))
EVAL_INTERVAL = int(os.environ.get("EVAL_INTERVAL", "12"))
SEED = int(os.environ.get("SEED", "0"))

LOG_INTERVAL = 5
PIECE = 4_000  # characters; every twentieth piece of the text is for validation
WIDTH, HEADS, LAYERS = 64, 4, 2
# One validation text, always cut in the same way, whatever block size is trained with.
EVAL_BLOCK_SIZE, EVAL_BLOCKS = 32, 64


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        heads = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, WIDTH)
        self.position = nn.Embedding(max(BLOCK_SIZE, EVAL_BLOCK_SIZE), WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.token(inputs) + self.position(torch.arange(inputs.shape[1]))
        logits = self.head(self.norm(self.blocks(x)))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def read_text() -> tuple[torch.Tensor, torch.Tensor, int]:
    """Training and validation characters by number, and how many characters there are."""
    text = "\n\n".join(topics[name] for name in sorted(topics))
    text = "".join(c for c in text if c == "\n" or " " <= c <= "~")
    number = {c: n for n, c in enumerate(sorted(set(text)))}
    data = torch.tensor([number[c] for c in text])
    pieces = data.split(PIECE)
    kept = [piece for n, piece in enumerate(pieces) if n % 20]
    return torch.cat(kept), torch.cat(pieces[::20]), len(number)


def cut_blocks(data: torch.Tensor, starts: torch.Tensor, size: int) -> tuple[torch.Tensor, ...]:
    rows = torch.stack([data[start : start + size + 1] for start in starts.tolist()])
    return rows[:, :-1], rows[:, 1:]


def learning_rate(step: int) -> float:
    if step < WARMUP_STEPS:
        return LEARNING_RATE * (0.1 + 0.9 * step / WARMUP_STEPS)
    share = (step - WARMUP_STEPS) / max(STEPS - WARMUP_STEPS, 1)
    falling = {"constant": 1.0, "linear": 1 - share, "cosine": (1 + math.cos(math.pi * share)) / 2}
    return LEARNING_RATE * falling[SCHEDULE]


@torch.no_grad()
def evaluate(model: GPT, data: torch.Tensor) -> float:
    starts = torch.linspace(0, len(data) - EVAL_BLOCK_SIZE - 1, EVAL_BLOCKS).long()
    return model(*cut_blocks(data, starts, EVAL_BLOCK_SIZE)).item()


def train_step(model: GPT, optimizer: torch.optim.Optimizer, data: torch.Tensor) -> float:
    total = 0.0
    for _ in range(ACCUMULATION):
        starts = torch.randint(len(data) - BLOCK_SIZE - 1, (BATCH_SIZE,))
        loss = model(*cut_blocks(data, starts, BLOCK_SIZE)) / ACCUMULATION
        loss.backward()
        total += loss.item()
    optimizer.step()
    optimizer.zero_grad()
    return total


def main() -> None:
    torch.manual_seed(SEED)
    train_data, val_data, vocabulary = read_text()
    model = GPT(vocabulary)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {vocabulary} characters")
    for step in range(STEPS + 1):
        if step % EVAL_INTERVAL == 0 or step == STEPS:
            losses = evaluate(model, train_data), evaluate(model, val_data)
            print(f"step {step}: train loss {losses[0]:.4f}, val loss {losses[1]:.4f}")
        if step == STEPS:
            break
        began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = train_step(model, optimizer, train_data)
        if step % LOG_INTERVAL == 0:
            elapsed_ms = 1000 * (time.perf_counter() - began)
            print(f"iter {step}: loss {loss:.4f}, time {elapsed_ms:.2f}ms")


if __name__ == "__main__":
    main()
