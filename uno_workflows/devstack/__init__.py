"""A Postgres and a Temporal server from wheels, for a laptop, the demo and the tests.

Three promises hold for each server here:

* Nothing outlives its owner. A small guardian process stands between the two (`guardian.py`); it stops the server when
  asked to, and also when the owner is gone, however the owner ended.
* One folder, one server. Whatever runs in a folder holds the lock of that folder (`lock.py`), down to the last backend
  of Postgres, so a process id found in an old file never has to be believed.
* Data survives. A server that was killed is started again on the same folder and the same port.
"""
