"""The benchmarks of `scripts/bench`: our verbs beside what one would write without us, in the same run (docs/benchmarks.md)."""
