"""The benchmarks of `scripts/bench`: our verbs beside what one would write without us, in the same run (docs/benchmarks.md).

Each module that `running` names is one benchmark, with a function `measure`. What they measure is an app as users write it, in
`events`, `steps`, `sagas` and `projections`, and the same by hand, in `by_hand`, `plain` and the rivals.
"""
