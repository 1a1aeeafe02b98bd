"""Answers whether anything has changed that the calls of a model token depend on: many at once.

A token's stamp differs as soon as a row does that its picture was read from: the token, its model,
key, workspace and organization, its rate limits, and what was chosen or learned for it. Prices have
no part in it: they are dated, and kept by ``pricebook``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from django.db import connection

_ASK = "SELECT token_digest, stamp FROM spend_token_stamps(%s, %s, %s)"


class Asked(NamedTuple):
    """A token, and what is known of it: its key's quota at Mistral, and its model's snapshot."""

    digest: bytes
    quota_code: str
    canonical_model: str


def of_tokens(asked: Sequence[Asked]) -> dict[bytes, int]:
    """Read the stamps of tokens of any organization; one revoked or over has none.

    Raises:
        DatabaseFault: the database does not answer.
    """
    if not asked:
        return {}
    columns = [list(column) for column in zip(*asked, strict=True)]
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(_ASK, columns, prepare=True)
        return {bytes(digest): stamp for digest, stamp in cursor.fetchall()}
