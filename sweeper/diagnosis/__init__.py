"""From a training log to causes with evidence, and to the study that tests the fixes. No torch."""
