"""The fault suite: what may happen to a study while it runs, and what must hold afterwards.

A fault is a function that lets something happen to a study, brings the study to its end, and
says what it did (`Tally`). What must hold is judged in one place, `invariants.py`, by the same
rules for all: no completed trial lost, none doubled, counts exact, no process left, no trial left
running, and every curve equal to that of an uninterrupted run, bit for bit.

    ground.py       the studies: as small as can be, with checkpoints of their own
    crew.py         workers as processes that can be killed, stopped and starved
    processes.py    who lives
    program.py      `sweeper run`, and what is left of it
    invariants.py   what must hold
    field.py        where a fault happens, and the study to which nothing happened
    kills.py outages.py disk.py damage.py journals.py values.py crowd.py    the faults
    table.py        all faults, each with the requirement that it answers

`make test` strikes the quick ones; `make faults` all of them, and ends in a table.
"""
