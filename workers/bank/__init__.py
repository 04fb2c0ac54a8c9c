"""A bank: accounts, and transfers between them that happen wholly or not at all. Money is what this app is judged by.

    requested ─▶ debit ─▶ fee + screening ─▶ approval (large amounts) ─▶ credit ─▶ completed
                   │            │                    │                      │
                   └────────────┴──── reversed ◀─────┴──── cancelled ───────┘

`events` what happens; `steps` what is done about it; `sagas` in which order; `projections` what people look at; `tables` the
bank's own tables; `provider` the company that takes the fees, which is not us; `fates` how each transfer ends.

It is also the workload of the chaos runs, so that every promise can be held against it:

    uno worker workers.bank                                         several of them, with UNO_APP=bank
    python -m workers.bank.writer --ledger FILE --seed 1 --name a   customers, who note what they were told
    python -m workers.bank.checker --ledgers FOLDER [--settled]     what may never be false

`await workers.bank.tables.create(dsn)` makes the tables, after `uno migrate` and before the first of these.
"""
