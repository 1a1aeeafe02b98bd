import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0002_announcements'),
        ('spend', '0009_calls_without_a_model'),
    ]

    operations = [
        migrations.CreateModel(
            name='RateCount',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('subject_kind', models.CharField(max_length=12)),
                ('subject_id', models.UUIDField()),
                ('period', models.DateField()),
                ('refused', models.PositiveIntegerField(default=0)),
                ('watched', models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name='limit',
            name='requests_per_second',
            field=models.DecimalField(decimal_places=3, max_digits=9, null=True),
        ),
        migrations.AddField(
            model_name='limit',
            name='tokens_per_minute',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='limit',
            name='tokens_per_month',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddConstraint(
            model_name='limit',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('requests_per_second', None), ('requests_per_second__gt', 0), _connector='OR'), models.Q(('tokens_per_minute', None), ('tokens_per_minute__gt', 0), _connector='OR'), models.Q(('tokens_per_month', None), ('tokens_per_month__gt', 0), _connector='OR')), name='limit_rates_positive'),
        ),
        migrations.AddField(
            model_name='ratecount',
            name='organization',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization'),
        ),
        migrations.AddConstraint(
            model_name='ratecount',
            constraint=models.UniqueConstraint(fields=('organization', 'subject_kind', 'subject_id', 'period'), name='rate_count_uniq'),
        ),
        TenantTable("spend_ratecount", referenced=False),
    ]
