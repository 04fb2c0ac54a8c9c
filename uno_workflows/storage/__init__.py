"""The only room that speaks SQL: the log, its fence, checkpoints, the table of runs and the memory of steps, in Postgres."""
