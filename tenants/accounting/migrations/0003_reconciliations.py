"""Reconciliations, and the door by which a confirmed one posts corrections."""

from pathlib import Path

import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable

POST = (Path(__file__).parent / "sql" / "0003_post.sql").read_text(encoding="utf-8")
TAKE_DUE = """
CREATE OR REPLACE FUNCTION accounting_take_due(batch integer, seconds double precision)
RETURNS TABLE (work text, organization_id uuid, row_id uuid) LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    %s
$$
"""


def take(table, work):
    return f"""
        UPDATE {table} AS taken
        SET claim = NULL, held_until = now() + make_interval(secs => seconds)
        FROM (
            SELECT id FROM {table}
            WHERE due_at <= now() AND (held_until IS NULL OR held_until <= now())
            ORDER BY due_at LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
        ) AS due
        WHERE taken.id = due.id
        RETURNING '{work}', taken.organization_id, taken.id
    """


SYNCS = take("accounting_syncrun", "sync")
BOTH = (
    f"WITH syncs AS ({SYNCS}), others AS ({take('accounting_reconciliation', 'reconciliation')})"
    " SELECT * FROM syncs UNION ALL SELECT * FROM others"
)


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0001_initial'),
        ('accounting', '0002_statements'),
        ('organizations', '0002_announcements'),
    ]

    operations = [
        migrations.CreateModel(
            name='Reconciliation',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('period', models.DateField()),
                ('timezone', models.CharField(max_length=64)),
                ('currency', models.CharField(max_length=3)),
                ('source', models.CharField(choices=[('mistral_admin_api', 'Mistral Admin Api'), ('manual', 'Manual'), ('aisuru', 'Aisuru')], max_length=20)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('open', 'Open'), ('confirmed', 'Confirmed'), ('failed', 'Failed')], max_length=16)),
                ('requested_by', models.CharField(max_length=254)),
                ('figures', models.JSONField(default=list)),
                ('lines', models.JSONField(default=list)),
                ('totals', models.JSONField(default=dict)),
                ('books_digest', models.CharField(blank=True, max_length=64)),
                ('failure', models.CharField(blank=True, max_length=40)),
                ('compared_at', models.DateTimeField(null=True)),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('confirmed_by', models.CharField(blank=True, max_length=254)),
                ('posted', models.JSONField(default=list)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('due_at', models.DateTimeField(null=True)),
                ('claim', models.UUIDField(null=True)),
                ('held_until', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['organization', '-id'], name='reconciliation_list_idx'), models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='reconciliation_due_idx')],
                'constraints': [models.CheckConstraint(condition=models.Q(('due_at', None), ('status', 'pending'), _connector='OR'), name='reconciliation_due_while_pending')],
            },
        ),
        TenantTable(
            "accounting_reconciliation",
            grants="SELECT, INSERT, UPDATE",
            locatable=True,
            referenced=False,
        ),
        DefinerFunction("accounting_post(json)", POST),
        migrations.RunSQL(TAKE_DUE % BOTH, TAKE_DUE % SYNCS),
    ]
