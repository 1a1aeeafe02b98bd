"""The vault: seals and opens bytes, and knows no tenant and no row.

It speaks HTTP in two files only, to a key service that wraps data keys: ``transit`` and ``kms``.
"""
