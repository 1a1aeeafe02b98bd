import django.db.models.deletion
import tenants.common.models
from django.conf import settings
from django.db import migrations, models

from tenants.common.row_security import (
    DefinerFunction,
    PlatformTable,
    ReferenceTable,
    TenantTable,
)

ROLES = ("viewer", "agent", "lead", "security")


def make_groups(apps, schema_editor):
    for role in ROLES:
        apps.get_model("auth", "Group").objects.get_or_create(name=f"support {role}")


def drop_groups(apps, schema_editor):
    groups = apps.get_model("auth", "Group").objects
    groups.filter(name__in=[f"support {role}" for role in ROLES]).delete()


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('organizations', '0007_audit_chain'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(make_groups, drop_groups),
        ReferenceTable("auth_group"),
        migrations.CreateModel(
            name='PlatformEvent',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('person_name', models.CharField(max_length=254)),
                ('verb', models.CharField(max_length=64)),
                ('detail', models.CharField(blank=True, max_length=200)),
                ('found', models.PositiveIntegerField(default=0)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='StaffMember',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='auth.group')),
                ('person', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='SupportGrant',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('granted_by', models.CharField(max_length=254)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('allows_changes', models.BooleanField(default=False)),
                ('ends_at', models.DateTimeField()),
                ('withdrawn_at', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='SupportSession',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('person_name', models.CharField(max_length=254)),
                ('granted_by', models.CharField(blank=True, max_length=254)),
                ('reason', models.CharField(max_length=500)),
                ('ticket', models.CharField(blank=True, max_length=64)),
                ('is_elevated', models.BooleanField(default=False)),
                ('ends_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('grant', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assistance.supportgrant')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['person'], name='support_session_person_idx')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('organization', 'person'), name='support_session_open_uniq')],
            },
        ),
        ReferenceTable("assistance_staffmember", grants="SELECT, INSERT, UPDATE"),
        PlatformTable("assistance_platformevent", grants="SELECT, INSERT"),
        # Nothing can be made longer, or allow more, than it did when it began.
        TenantTable("assistance_supportgrant", grants="SELECT, INSERT, UPDATE (withdrawn_at)"),
        TenantTable(
            "assistance_supportsession",
            parents={"grant_id": "assistance_supportgrant"},
            grants="SELECT, INSERT, UPDATE (ended_at)",
            referenced=False,
        ),
        # Somebody of the staff is told where their own sessions are open, outside of any of them.
        DefinerFunction(
            "assistance_open_sessions(uuid)",
            """
            CREATE FUNCTION assistance_open_sessions(who uuid)
            RETURNS TABLE (
                organization_id uuid, name text, is_elevated boolean, is_broken_open boolean,
                ends_at timestamptz
            ) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT o.id, o.name::text, s.is_elevated, s.granted_by = '', s.ends_at
                FROM assistance_supportsession s
                JOIN organizations_organization o ON o.id = s.organization_id
                WHERE s.person_id = who AND s.ended_at IS NULL AND s.ends_at > now()
                  AND o.status <> 'erased'
                ORDER BY s.ends_at
            $$
            """,
        ),
    ]
