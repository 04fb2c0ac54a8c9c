"""`python -m workers.bank.checker --ledgers FOLDER [--settled] [--json]`: 0 nothing found, 1 something, 2 cannot look."""
