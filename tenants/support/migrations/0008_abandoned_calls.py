"""Prometheus learns how many calls workers have settled in the place of whoever opened them.

They are few, and found by an index that has no others: what it costs does not grow with the ledger.
A hold is settled long before forty days are over; older months are not looked at.
"""

from importlib import import_module

from django.db import migrations

from tenants.common.partitioned_indexes import PartitionedIndex
from tenants.common.row_security import DefinerFunction

INDEX = "support_event_abandoned_idx"
REASONS = "'process_died', 'never_settled'"
OF = f"(created_at, estimate) WHERE estimate IN ({REASONS})"

[FORMER] = [
    operation.sql.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)
    for operation in import_module("tenants.support.migrations.0004_lags").Migration.operations
    if isinstance(operation, DefinerFunction)
]
END = "GROUP BY code\n"
ABANDONED = f"""{END}
                UNION ALL
                SELECT 'estimates_' || reason, count(e.estimate), NULL
                FROM unnest(ARRAY[{REASONS}]) AS reason
                LEFT JOIN (
                    SELECT estimate FROM spend_usageevent
                    WHERE estimate IN ({REASONS})
                      AND created_at > now() - interval '1 hour'
                      AND occurred_at > now() - interval '40 days'
                ) e ON e.estimate = reason
                GROUP BY reason
"""


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('spend', '0019_outlast_autovacuum'),
        ('support', '0007_holds_of_batches'),
    ]

    operations = [
        PartitionedIndex(INDEX, "spend_usageevent", OF),
        migrations.RunSQL(FORMER.replace(END, ABANDONED, 1), FORMER),
    ]
