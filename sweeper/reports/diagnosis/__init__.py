"""How a diagnosis is shown: Markdown, HTML, JSON, a figure, the terminal. No torch, no Optuna."""
