"""What is tried next: from the study file to Optuna's draws, and what need not be drawn."""
