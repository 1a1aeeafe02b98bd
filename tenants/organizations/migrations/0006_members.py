import django.db.models.deletion
import tenants.common.models
from django.conf import settings
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0005_master_keys_in_use'),
        ('people', '0002_signing_in'),
    ]

    operations = [
        migrations.CreateModel(
            name='Member',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('role', models.CharField(choices=[('admin', 'Admin'), ('billing', 'Billing'), ('member', 'Member')], max_length=8)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='OrganizationDomain',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('domain', models.CharField(max_length=253)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='WorkspaceMember',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('role', models.CharField(choices=[('admin', 'Admin'), ('member', 'Member')], max_length=8)),
                ('member', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organizations.member')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.workspace')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('email', models.EmailField(max_length=254)),
                ('role', models.CharField(choices=[('admin', 'Admin'), ('billing', 'Billing'), ('member', 'Member')], max_length=8)),
                ('workspaces', models.JSONField(default=list)),
                ('invited_by', models.CharField(max_length=254)),
                ('locale', models.CharField(default='it', max_length=2)),
                ('generation', models.PositiveIntegerField(default=1)),
                ('digest', models.BinaryField(max_length=32, unique=True)),
                ('expires_at', models.DateTimeField()),
                ('mailed_at', models.DateTimeField(null=True)),
                ('closed_as', models.CharField(blank=True, max_length=8)),
                ('closed_at', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('closed_at', None)), fields=('organization', 'email'), name='invitation_open_uniq'), models.CheckConstraint(condition=models.Q(('role__in', ['admin', 'billing', 'member'])), name='invitation_role')],
            },
        ),
        migrations.CreateModel(
            name='JoinRequest',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('email', models.EmailField(max_length=254)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('approved', 'Approved'), ('declined', 'Declined')], default='pending', max_length=8)),
                ('decided_at', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'pending')), fields=('organization', 'person'), name='join_request_open_uniq')],
            },
        ),
        migrations.AddIndex(
            model_name='member',
            index=models.Index(fields=['person'], name='member_person_idx'),
        ),
        migrations.AddConstraint(
            model_name='member',
            constraint=models.UniqueConstraint(fields=('organization', 'person'), name='member_uniq'),
        ),
        migrations.AddConstraint(
            model_name='member',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['admin', 'billing', 'member'])), name='member_role'),
        ),
        migrations.AddIndex(
            model_name='organizationdomain',
            index=models.Index(fields=['domain'], name='domain_idx'),
        ),
        migrations.AddConstraint(
            model_name='organizationdomain',
            constraint=models.UniqueConstraint(fields=('organization', 'domain'), name='domain_uniq'),
        ),
        migrations.AddConstraint(
            model_name='workspacemember',
            constraint=models.UniqueConstraint(fields=('organization', 'workspace', 'member'), name='workspace_member_uniq'),
        ),
        migrations.AddConstraint(
            model_name='workspacemember',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['admin', 'member'])), name='workspace_member_role'),
        ),
        TenantTable("organizations_member"),
        TenantTable(
            "organizations_workspacemember",
            parents={
                "workspace_id": "organizations_workspace",
                "member_id": "organizations_member",
            },
            referenced=False,
        ),
        TenantTable("organizations_invitation", referenced=False),
        TenantTable("organizations_organizationdomain", referenced=False),
        TenantTable("organizations_joinrequest", referenced=False),
        # Where somebody is a member is asked before any organization is chosen.
        DefinerFunction(
            "organizations_memberships(uuid)",
            """
            CREATE FUNCTION organizations_memberships(who uuid)
            RETURNS TABLE (
                organization_id uuid, member_id uuid, role text,
                workspace_ids uuid[], workspace_roles text[]
            ) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT m.organization_id, m.id, m.role::text,
                       coalesce(array_agg(w.workspace_id ORDER BY w.id)
                                FILTER (WHERE w.id IS NOT NULL), '{}'),
                       coalesce(array_agg(w.role::text ORDER BY w.id)
                                FILTER (WHERE w.id IS NOT NULL), '{}')
                FROM organizations_member m
                JOIN organizations_organization o ON o.id = m.organization_id
                LEFT JOIN organizations_workspacemember w
                       ON w.organization_id = m.organization_id AND w.member_id = m.id
                WHERE m.person_id = who AND o.status <> 'erased'
                GROUP BY m.id
                ORDER BY m.id
            $$
            """,
        ),
        DefinerFunction(
            "organizations_find_invitation(bytea)",
            """
            CREATE FUNCTION organizations_find_invitation(token_digest bytea)
            RETURNS uuid LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT i.organization_id FROM organizations_invitation i
                JOIN organizations_organization o ON o.id = i.organization_id
                WHERE i.digest = token_digest AND o.status <> 'erased'
            $$
            """,
        ),
        DefinerFunction(
            "organizations_unmailed_invitations()",
            """
            CREATE FUNCTION organizations_unmailed_invitations()
            RETURNS TABLE (organization_id uuid, invitation_id uuid) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT i.organization_id, i.id FROM organizations_invitation i
                WHERE i.mailed_at IS NULL AND i.closed_at IS NULL AND i.expires_at > now()
                  AND i.created_at < now() - interval '30 seconds'
                ORDER BY i.id LIMIT 100
            $$
            """,
        ),
        DefinerFunction(
            "organizations_invitations_for(uuid)",
            """
            CREATE FUNCTION organizations_invitations_for(who uuid)
            RETURNS TABLE (
                invitation_id uuid, organization_id uuid, organization_name text, role text,
                invited_by text, expires_at timestamptz
            ) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT i.id, o.id, o.name::text, i.role::text, i.invited_by::text, i.expires_at
                FROM account_emailaddress a
                JOIN organizations_invitation i ON i.email = a.email
                JOIN organizations_organization o ON o.id = i.organization_id
                WHERE a.user_id = who AND a.verified AND o.status <> 'erased'
                  AND i.closed_at IS NULL AND i.expires_at > now()
                ORDER BY i.id DESC LIMIT 20
            $$
            """,
        ),
        # Only whoever reads mail in an organization's domain learns that it is here, and its name.
        DefinerFunction(
            "organizations_joinable(uuid)",
            """
            CREATE FUNCTION organizations_joinable(who uuid)
            RETURNS TABLE (organization_id uuid, name text, requested boolean) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT DISTINCT o.id, o.name::text, EXISTS (
                    SELECT 1 FROM organizations_joinrequest r
                    WHERE r.organization_id = o.id AND r.person_id = who AND r.status = 'pending'
                )
                FROM account_emailaddress a
                JOIN organizations_organizationdomain d
                  ON d.domain = substring(a.email FROM '@(.*)$')
                JOIN organizations_organization o ON o.id = d.organization_id
                WHERE a.user_id = who AND a.verified AND o.status <> 'erased'
                  AND NOT EXISTS (
                      SELECT 1 FROM organizations_member m
                      WHERE m.organization_id = o.id AND m.person_id = who
                  )
                ORDER BY 2
                LIMIT 20
            $$
            """,
        ),
    ]
