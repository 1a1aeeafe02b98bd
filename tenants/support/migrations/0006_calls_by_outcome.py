from django.db import migrations

# A call that was answered costs nothing more: it is not in this index.

INDEX = "support_event_outcome_idx"
OF = (
    "(organization_id, outcome, occurred_at DESC, id DESC) WHERE outcome <> 'completed'"
)
PARTITIONS = "SELECT relid::regclass::text FROM pg_partition_tree('spend_usageevent') WHERE isleaf"


def index_the_ledger(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(PARTITIONS)
        partitions = [row[0] for row in cursor.fetchall()]
    schema_editor.execute(f"CREATE INDEX {INDEX} ON ONLY spend_usageevent {OF}")
    for number, partition in enumerate(partitions):
        part = f"{INDEX}_{number}"
        schema_editor.execute(f"CREATE INDEX CONCURRENTLY {part} ON {partition} {OF}")
        schema_editor.execute(f"ALTER INDEX {INDEX} ATTACH PARTITION {part}")


def forget(apps, schema_editor):
    schema_editor.execute(f"DROP INDEX {INDEX}")


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('spend', '0014_limit_extensions'),
        ('support', '0005_attention_without_names'),
    ]

    operations = [
        migrations.RunPython(index_the_ledger, forget),
    ]
