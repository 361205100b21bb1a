"""The rules: every possible cause, a module for each kind."""
