from django.db import migrations


class Migration(migrations.Migration):
    operations = [
        migrations.RunSQL("CREATE TABLE patience_first ()", "DROP TABLE patience_first"),
        migrations.RunSQL("ALTER TABLE organizations_organization ADD COLUMN patience int"),
    ]
