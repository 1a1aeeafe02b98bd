import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organizations', '0006_members'),
    ]

    operations = [
        migrations.CreateModel(
            name='BillingProfile',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('legal_name', models.CharField(max_length=200)),
                ('vat_number', models.CharField(blank=True, max_length=20)),
                ('vat_status', models.CharField(choices=[('unchecked', 'Unchecked'), ('valid_format', 'Valid Format'), ('registered', 'Registered'), ('not_registered', 'Not Registered')], default='unchecked', max_length=16)),
                ('vat_checked_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField(null=True)),
                ('line1', models.CharField(max_length=200)),
                ('line2', models.CharField(blank=True, max_length=200)),
                ('postal_code', models.CharField(max_length=16)),
                ('city', models.CharField(max_length=120)),
                ('province', models.CharField(blank=True, max_length=64)),
                ('country', models.CharField(max_length=2)),
                ('sdi_code', models.CharField(blank=True, max_length=7)),
                ('pec', models.EmailField(blank=True, max_length=254)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='billing_profile_due_idx')],
                'constraints': [models.UniqueConstraint(fields=('organization',), name='billing_profile_uniq')],
            },
        ),
        migrations.CreateModel(
            name='Plan',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('plan', models.CharField(blank=True, choices=[('experiment', 'Experiment'), ('scale', 'Scale')], max_length=16)),
                ('payment_method_on_file', models.BooleanField(default=False)),
                ('phone_verified', models.BooleanField(default=False)),
                ('recharges', models.BooleanField(null=True)),
                ('top_up', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                ('threshold', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                ('source', models.CharField(choices=[('declared', 'Declared'), ('observed', 'Observed')], default='declared', max_length=8)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization',), name='plan_uniq')],
            },
        ),
        TenantTable("billing_billingprofile", referenced=False),
        TenantTable("billing_plan", referenced=False),
        # Whose number is due at VIES, whosesoever it is: ids of organizations, nothing else.
        DefinerFunction(
            "billing_due_checks()",
            """
            CREATE FUNCTION billing_due_checks()
            RETURNS TABLE (organization_id uuid) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT b.organization_id FROM billing_billingprofile b
                WHERE b.due_at <= now() ORDER BY b.due_at LIMIT 10
            $$
            """,
        ),
    ]
