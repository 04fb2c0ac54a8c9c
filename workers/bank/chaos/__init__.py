"""Chaos: the bank on real servers, with everything around it breaking by a plan, and a checker that must find nothing.

    scripts/chaos --seconds 60 --seed 1

`plan` is drawn from the seed and written down before anything starts. `system` is what is broken: `servers`, and processes that
are kept running (`processes`), each behind proxies (`proxy`) and with a clock (`clock`) of its own. `faults`, `outages`, `disk`
are how it is broken, by the `breaker`. `watch` looks meanwhile, `logs` afterwards; `run` does one run, `report` tells of it.

What is judged, and how it is known that the judge is awake, says ADR 0012: the tests run builds with bugs planted in them
(`run(…, build=…)`), each of which must be found.
"""
