from django.db import migrations, models

from tenants.common.row_security import ReferenceTable


class Migration(migrations.Migration):

    dependencies = [
        ('assistance', '0006_reworded_wall'),
    ]

    operations = [
        migrations.CreateModel(
            name='Chore',
            fields=[
                ('name', models.CharField(max_length=100, primary_key=True, serialize=False)),
                ('done_at', models.DateTimeField(null=True)),
                ('failures', models.PositiveIntegerField(db_default=0, default=0)),
                ('failed_at', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        ReferenceTable("assistance_chore", grants="SELECT, INSERT, UPDATE"),
    ]
