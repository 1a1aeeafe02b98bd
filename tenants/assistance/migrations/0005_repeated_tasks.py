from django.db import migrations, models

from tenants.common.row_security import ReferenceTable


class Migration(migrations.Migration):

    dependencies = [
        ('assistance', '0004_resets_of_second_factors'),
    ]

    operations = [
        migrations.CreateModel(
            name='RepeatedTask',
            fields=[
                ('message', models.CharField(max_length=80, primary_key=True, serialize=False)),
                ('task', models.CharField(max_length=100)),
                ('arguments', models.CharField(blank=True, max_length=200)),
                ('deliveries', models.PositiveIntegerField()),
                ('reason', models.CharField(blank=True, max_length=12)),
                ('seen_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['-seen_at'],
                'constraints': [
                    models.CheckConstraint(
                        condition=models.Q(
                            ('reason__in', ['', 'repeated', 'unknown', 'malformed'])
                        ),
                        name='repeated_task_reason',
                    )
                ],
            },
        ),
        ReferenceTable("assistance_repeatedtask", grants="SELECT, INSERT, UPDATE, DELETE"),
    ]
