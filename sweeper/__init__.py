"""Finds out why a GPT-2 LoRA fine-tuning is stuck, and which change really helps."""

__version__ = "0.3.0"
