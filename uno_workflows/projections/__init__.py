"""The read side: read models that are folded from the log, and commit together with their checkpoint."""
