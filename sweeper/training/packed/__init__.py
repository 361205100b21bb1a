"""The fast engine: several LoRA adapters trained at once on one frozen GPT-2."""
