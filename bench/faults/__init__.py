"""Faults played on a deployment of their own, under load: `python -m bench.faults.<name>`.

Each module injects one kind of fault, prints what callers saw and what the ledger says, and ends
with an error if anything was lost, counted twice, sent without a record, or answered in a way that
is not documented. Where the machine does not allow a fault (no root, no mount, no namespace) it
says so and ends with 77. What they mount, start or fill belongs to the process: it is gone with it.
"""
