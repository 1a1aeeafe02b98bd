"""A sync proposes prices and workspaces, and tells which of them somebody took over."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounting', '0004_corrections_by_the_ledger'),
    ]

    operations = [
        migrations.AddField(
            model_name='syncrun',
            name='confirmed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='syncrun',
            name='confirmed_by',
            field=models.CharField(blank=True, db_default='', default='', max_length=254),
        ),
        migrations.AddField(
            model_name='syncrun',
            name='left',
            field=models.JSONField(db_default={}, default=dict),
        ),
        migrations.AddField(
            model_name='syncrun',
            name='proposals',
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='syncrun',
            name='taken',
            field=models.JSONField(db_default=[], default=list),
        ),
    ]
