"""Who works on a study: workers, the processes that train for them, and where they run."""
