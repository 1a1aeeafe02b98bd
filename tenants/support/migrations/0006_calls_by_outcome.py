from django.db import migrations

from tenants.common.partitioned_indexes import PartitionedIndex

# A call that was answered costs nothing more: it is not in this index.

INDEX = "support_event_outcome_idx"
OF = (
    "(organization_id, outcome, occurred_at DESC, id DESC) WHERE outcome <> 'completed'"
)


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('spend', '0014_limit_extensions'),
        ('support', '0005_attention_without_names'),
    ]

    operations = [
        PartitionedIndex(INDEX, "spend_usageevent", OF),
    ]
