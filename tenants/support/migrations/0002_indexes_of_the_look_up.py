from django.db import migrations

# What a look-up over all organizations asks of the largest table; each room's own indexes begin
# with the organization.


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('support', '0001_initial'),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY support_key_last4_idx ON keys_mistralkey (last4)",
            "DROP INDEX support_key_last4_idx",
        ),
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY support_key_correlation_idx ON keys_mistralkey"
            " ((evidence ->> 'correlation_id')) WHERE evidence ->> 'correlation_id' IS NOT NULL",
            "DROP INDEX support_key_correlation_idx",
        ),
    ]
