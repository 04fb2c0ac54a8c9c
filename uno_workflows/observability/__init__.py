"""What is told of a running program: log lines, without knowing who runs or who listens."""
