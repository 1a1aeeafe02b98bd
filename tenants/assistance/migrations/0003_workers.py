from django.db import migrations, models

from tenants.common.row_security import ReferenceTable


class Migration(migrations.Migration):

    dependencies = [
        ('assistance', '0002_corrections_and_filters'),
    ]

    operations = [
        migrations.CreateModel(
            name='WorkerSeen',
            fields=[
                ('name', models.CharField(max_length=200, primary_key=True, serialize=False)),
                ('seen_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        ReferenceTable("assistance_workerseen", grants="SELECT, INSERT, UPDATE, DELETE"),
    ]
