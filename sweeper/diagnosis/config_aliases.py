"""Tables of names: what others call the hyperparameters, schedules and number formats of ours.

Sources of the names: Hugging Face's `TrainingArguments`, peft's `adapter_config.json`, models'
`config.json`, nanoGPT, Megatron, Lightning, and environment variables of training scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweeper.study.quantities import Quantity, Real, Text, Whole

ALIASES: Mapping[str, Sequence[str]] = {
    "learning_rate": ("lr", "max_lr", "peak_lr", "base_lr", "peak_learning_rate"),
    "block_size": (
        "max_seq_length",
        "max_seq_len",
        "max_length",
        "seq_length",
        "seq_len",
        "sequence_len",
        "sequence_length",
        "context_length",
        "cutoff_len",
    ),
    "batch_size": (
        "micro_batch_size",
        "per_device_train_batch_size",
        "per_gpu_train_batch_size",
        "train_batch_size",
        "device_batch_size",
        "instantaneous_batch_size_per_device",
    ),
    "accumulation": (
        "gradient_accumulation_steps",
        "gradient_accumulation",
        "grad_accum",
        "grad_accum_steps",
        "accumulate_grad_batches",
        "accumulation_steps",
    ),
    "weight_decay": ("wd",),
    "warmup_start_factor": (),
    "floor_factor": ("min_lr_ratio", "min_lr_rate"),
    "rank": ("r", "lora_r", "lora_rank"),
    "alpha": ("lora_alpha",),
    "dropout": ("lora_dropout",),
    "train_also": (),
    "seed": (),
    "vocab_size": ("padded_vocab_size", "n_vocab"),
    "num_heads": ("n_head", "n_heads", "num_attention_heads"),
    "num_layers": ("n_layer", "n_layers", "num_hidden_layers"),
    "hidden_size": ("n_embd", "d_model", "embedding_dim"),
    "trained_parameters": (
        "trainable_params",
        "trainable_parameters",
        "number_of_trainable_parameters",
    ),
    "num_epochs": ("num_train_epochs", "epochs", "max_epochs"),
    "eval_steps": ("eval_interval", "eval_every"),
    "save_steps": ("save_interval", "save_every", "checkpoint_interval"),
    "optimizer": ("optim", "optimizer_name", "optimizer_type"),
    "min_lr": ("min_learning_rate", "lr_end", "eta_min", "end_learning_rate"),
    "total_steps": (
        "max_steps",
        "max_iters",
        "training_steps",
        "train_steps",
        "num_training_steps",
        "max_train_steps",
        "total_optimization_steps",
        "train_iters",
        "num_steps",
        "num_iterations",
    ),
    # Counted from step 0, as nanoGPT, Megatron and optax do.
    "decay_end_steps": ("lr_decay_iters", "lr_decay_steps", "decay_steps"),
    "after_warmup_steps": ("cosine_steps", "linear_decay_steps"),
}
EXTRAS: Mapping[str, Quantity] = {
    "vocab_size": Whole(1),
    "num_heads": Whole(1),
    "num_layers": Whole(1),
    "hidden_size": Whole(1),
    "trained_parameters": Whole(0, 2**53),
    "num_epochs": Real(above=0),
    "eval_steps": Whole(1),
    "save_steps": Whole(1),
    "total_steps": Whole(1),
    "decay_end_steps": Whole(1),
    "after_warmup_steps": Whole(1),
    "warmup_steps": Whole(0),
    "warmup_share": Real(low=0, below=1),
    "min_lr": Real(low=0),
    "optimizer": Text(),
}
SCHEDULES = {
    "constant": "constant",
    "constant_with_warmup": "constant",
    "none": "constant",
    "linear": "linear",
    "linear_with_warmup": "linear",
    "cosine": "cosine",
    "cosine_with_warmup": "cosine",
    "cosine_decay": "cosine",
    "warmup_cosine": "cosine",
    "cosineannealinglr": "cosine",
    "cosine_annealing": "cosine",
}
PRECISIONS = {
    "auto": "auto",
    "no": "fp32",
    "fp32": "fp32",
    "float32": "fp32",
    "32": "fp32",
    "bf16": "bf16",
    "bfloat16": "bf16",
    "bf16-mixed": "bf16",
    "fp16": "fp16",
    "float16": "fp16",
    "16-mixed": "fp16",
}
EMBEDDINGS = ("wte", "wpe", "embed_tokens", "embed_in", "word_embeddings", "lm_head", "embeddings")
