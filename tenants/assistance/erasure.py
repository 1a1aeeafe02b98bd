"""What this room forgets of an organization that is being erased, inside its scope.

Who of the staff looked in, when, and whether they were let in, stays: it is owed to whoever asks
later what was done with their data. What the customer's people wrote or are called goes.
"""

from django.db import connection


def forget() -> None:
    """End sessions and grants, and forget names and texts of the customer in them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT assistance_forget()")
