"""Webhook endpoints, their secrets and deliveries, mails, and who wants none."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organizations', '0008_mail_leases'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('url', models.CharField(max_length=2000)),
                ('description', models.CharField(blank=True, max_length=200)),
                ('kinds', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), default=list)),
                ('is_enabled', models.BooleanField(default=True)),
                ('disabled_reason', models.CharField(blank=True, choices=[('person', 'Person'), ('gone', 'Gone'), ('failing', 'Failing')], max_length=8)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('failing_since', models.DateTimeField(null=True)),
                ('rests_until', models.DateTimeField(null=True)),
                ('created_by', models.CharField(max_length=254)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('kind', models.CharField(max_length=64)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('delivered', 'Delivered'), ('failed', 'Failed')], default='pending', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, null=True)),
                ('claim', models.UUIDField(null=True)),
                ('held_until', models.DateTimeField(null=True)),
                ('log', models.JSONField(default=list)),
                ('status_code', models.PositiveSmallIntegerField(null=True)),
                ('error', models.CharField(blank=True, max_length=40)),
                ('response', models.TextField(blank=True)),
                ('delivered_at', models.DateTimeField(null=True)),
                ('announcement', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organizations.announcement')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='notices.webhookendpoint')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='WebhookSecret',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('version', models.PositiveIntegerField()),
                ('sealed', models.BinaryField()),
                ('data_key_version', models.PositiveIntegerField()),
                ('ends_at', models.DateTimeField(null=True)),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='secrets', to='notices.webhookendpoint')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
        ),
        migrations.CreateModel(
            name='MutedKind',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('kind', models.CharField(max_length=64)),
                ('member', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organizations.member')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'member', 'kind'), name='muted_kind_uniq')],
            },
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('sent', 'Sent'), ('failed', 'Failed')], default='pending', max_length=8)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, null=True)),
                ('claim', models.UUIDField(null=True)),
                ('held_until', models.DateTimeField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('announcement', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organizations.announcement')),
                ('member', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organizations.member')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='notice_due_idx')],
                'constraints': [models.UniqueConstraint(fields=('organization', 'announcement', 'member'), name='notice_uniq'), models.CheckConstraint(condition=models.Q(models.Q(('due_at__isnull', False), ('status', 'pending')), models.Q(('due_at', None), ('status__in', ['sent', 'failed'])), _connector='OR'), name='notice_due_until_over')],
            },
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('disabled_reason', ''), ('is_enabled', True)), models.Q(('disabled_reason__in', ['person', 'gone', 'failing']), ('is_enabled', False)), _connector='OR'), name='webhook_disabled_for_a_reason'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['organization', 'endpoint', '-id'], name='delivery_list_idx'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='delivery_due_idx'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('held_until__isnull', False)), fields=['held_until'], name='delivery_held_idx'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(fields=('organization', 'endpoint', 'announcement'), name='delivery_uniq'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('due_at__isnull', False), ('status', 'pending')), models.Q(('due_at', None), ('status__in', ['delivered', 'failed'])), _connector='OR'), name='delivery_due_until_over'),
        ),
        migrations.AddConstraint(
            model_name='webhooksecret',
            constraint=models.UniqueConstraint(fields=('organization', 'endpoint', 'version'), name='webhook_secret_version_uniq'),
        ),
        migrations.AddConstraint(
            model_name='webhooksecret',
            constraint=models.UniqueConstraint(condition=models.Q(('ends_at', None)), fields=('organization', 'endpoint'), name='webhook_secret_newest_uniq'),
        ),
        TenantTable("notices_webhookendpoint"),
        TenantTable(
            "notices_webhooksecret",
            parents={"endpoint_id": "notices_webhookendpoint"},
            referenced=False,
        ),
        TenantTable(
            "notices_delivery",
            parents={
                "endpoint_id": "notices_webhookendpoint",
                "announcement_id": "organizations_announcement",
            },
            referenced=False,
        ),
        TenantTable(
            "notices_notice",
            parents={
                "announcement_id": "organizations_announcement",
                "member_id": "organizations_member",
            },
            referenced=False,
        ),
        TenantTable(
            "notices_mutedkind",
            parents={"member_id": "organizations_member"},
            referenced=False,
        ),
        # Workers look across tenants by partial indexes, and learn ids only.
        DefinerFunction(
            "notices_unpublished(integer)",
            """
            CREATE FUNCTION notices_unpublished(most integer)
            RETURNS SETOF uuid LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT a.organization_id FROM organizations_announcement a
                JOIN organizations_organization o ON o.id = a.organization_id
                WHERE a.published_at IS NULL AND o.status <> 'erased'
                GROUP BY a.organization_id
                -- Ids are ordered by time: whoever waits longest comes first.
                ORDER BY min(a.id::text) LIMIT most
            $$
            """,
        ),
        DefinerFunction(
            "notices_waiting()",
            """
            CREATE FUNCTION notices_waiting()
            RETURNS TABLE (deliveries boolean, letters boolean) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT EXISTS (
                    SELECT 1 FROM notices_delivery d
                    JOIN notices_webhookendpoint e ON e.id = d.endpoint_id
                    WHERE d.due_at <= now() AND (d.held_until IS NULL OR d.held_until <= now())
                      AND e.is_enabled AND (e.rests_until IS NULL OR e.rests_until <= now())
                ), EXISTS (
                    SELECT 1 FROM notices_notice n
                    WHERE n.due_at <= now() AND (n.held_until IS NULL OR n.held_until <= now())
                )
            $$
            """,
        ),
        # One endpoint gets a share of a batch; one that failed last is tried with one at a time.
        DefinerFunction(
            "notices_take_deliveries(uuid, integer, integer, integer, double precision)",
            """
            CREATE FUNCTION notices_take_deliveries(
                who uuid, batch integer, share integer, most integer, seconds double precision
            )
            RETURNS TABLE (organization_id uuid, delivery_id uuid) LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                WITH held AS (
                    SELECT h.endpoint_id, count(*) AS under_way FROM notices_delivery h
                    WHERE h.held_until > now() GROUP BY h.endpoint_id
                ), due AS (
                    SELECT d.id, d.due_at, e.failures, coalesce(held.under_way, 0) AS under_way,
                           row_number() OVER (PARTITION BY d.endpoint_id ORDER BY d.due_at, d.id)
                               AS place
                    FROM notices_delivery d
                    JOIN notices_webhookendpoint e ON e.id = d.endpoint_id
                    JOIN organizations_organization o ON o.id = d.organization_id
                    LEFT JOIN held ON held.endpoint_id = d.endpoint_id
                    WHERE d.due_at <= now() AND (d.held_until IS NULL OR d.held_until <= now())
                      AND e.is_enabled AND (e.rests_until IS NULL OR e.rests_until <= now())
                      AND o.status <> 'erased'
                ), chosen AS (
                    SELECT due.id FROM due
                    WHERE due.place + due.under_way
                          <= CASE WHEN due.failures > 0 THEN 1 ELSE share END
                    ORDER BY due.due_at
                    LIMIT greatest(
                        least(batch, most - (SELECT coalesce(sum(under_way), 0) FROM held)), 0
                    )
                )
                UPDATE notices_delivery AS taken
                SET claim = who, held_until = now() + make_interval(secs => seconds)
                FROM chosen
                WHERE taken.id = chosen.id AND taken.due_at <= now()
                  AND (taken.held_until IS NULL OR taken.held_until <= now())
                RETURNING taken.organization_id, taken.id
            $$
            """,
        ),
        DefinerFunction(
            "notices_take_letters(uuid, integer, double precision)",
            """
            CREATE FUNCTION notices_take_letters(
                who uuid, batch integer, seconds double precision
            )
            RETURNS TABLE (organization_id uuid, notice_id uuid) LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                UPDATE notices_notice AS taken
                SET claim = who, held_until = now() + make_interval(secs => seconds)
                FROM (
                    SELECT n.id FROM notices_notice n
                    WHERE n.due_at <= now() AND (n.held_until IS NULL OR n.held_until <= now())
                    ORDER BY n.due_at LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
                ) AS due
                WHERE taken.id = due.id
                RETURNING taken.organization_id, taken.id
            $$
            """,
        ),
    ]
