"""What a process tells of itself: log lines, metrics, traces, health; without knowing who runs or who listens."""
