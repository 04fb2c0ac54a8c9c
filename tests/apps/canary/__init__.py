"""An app whose code fails in ways that have drivers quote values, and raises errors of any text."""
