"""A bank: accounts, and transfers between them that happen wholly or not at all. Money is what this app is judged by.

    requested ─▶ debit ─▶ fee + screening ─▶ approval (large amounts) ─▶ credit ─▶ completed
                   │            │                    │                      │
                   └────────────┴──── reversed ◀─────┴──── cancelled ───────┘

`events` is what happens, `steps` what is done about it and `sagas` in which order; `projections` is what people look at. `book`
and `tables` are the bank's own; `clearing` is the house that collects the fees, which is not us. `fates` says how each transfer
ends, by its id.

It is also the workload of the chaos runs, so that every promise can be held against it:

    uno worker workers.bank                                         several of them, with UNO_APP=bank
    python -m workers.bank.writer --ledger FILE --seed 1 --name a   customers, who note what they were told
    python -m workers.bank.checker --ledgers FOLDER [--settled]     what may never be false

`python -m workers.bank.tables` makes the tables, after `uno migrate` and before the first of these.
"""
