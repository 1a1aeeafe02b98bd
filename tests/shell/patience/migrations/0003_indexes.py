from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("patience", "0002_in_pieces")]
    operations = [
        migrations.RunSQL(
            f"CREATE INDEX CONCURRENTLY patience_{which}_idx ON organizations_organization"
            " (patience_too)"
        )
        for which in ("made", "broken", "missing")
    ]
