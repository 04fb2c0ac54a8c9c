"""Builds of the product with a bug planted in them: what the checker of a chaos run must find before it is believed.

A build lives here alone: neither the product nor the bank has a switch for it. `bugs` patches a process before its module runs,
`launch` is what runs it, and `builds` says for each bug what patches it takes, which faults expose it and what must be found.
"""
