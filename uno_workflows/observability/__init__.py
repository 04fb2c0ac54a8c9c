"""What a process tells of itself: log lines, metrics, health; without knowing who runs or who listens."""
