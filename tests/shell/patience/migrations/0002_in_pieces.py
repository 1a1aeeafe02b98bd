from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("patience", "0001_whole")]
    operations = [
        migrations.RunSQL("CREATE TABLE patience_second ()"),
        migrations.RunSQL("ALTER TABLE organizations_organization ADD COLUMN patience_too int"),
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY patience_idx ON organizations_organization (patience_too)"
        ),
    ]
