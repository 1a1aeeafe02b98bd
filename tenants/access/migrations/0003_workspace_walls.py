from django.db import migrations

from tenants.common.row_security import WorkspaceWall

_OF_A_SUBJECT = (
    "(subject_kind = 'workspace' AND subject_id = ANY ({workspaces}) OR subject_kind = 'model'"
    " AND subject_id IN (SELECT id FROM registry_registeredmodel) OR subject_kind = 'key'"
    " AND subject_id IN (SELECT id FROM keys_mistralkey))"
)


class Migration(migrations.Migration):
    """Whoever sees some workspaces only is confined to them in every room (docs/people.md)."""

    dependencies = [
        ('access', '0002_forget_answers_of_calls'),
        ('organizations', '0006_members'),
        ('keys', '0001_initial'),
        ('registry', '0003_provider_resources'),
        ('spend', '0008_prices_of_organizations'),
    ]

    operations = [
        WorkspaceWall("organizations_workspace", seen="id = ANY ({workspaces})"),
        WorkspaceWall("organizations_workspacemember"),
        WorkspaceWall("keys_mistralkey"),
        WorkspaceWall("registry_registeredmodel"),
        WorkspaceWall("registry_providerresource"),
        WorkspaceWall("spend_workspacepolicy"),
        WorkspaceWall("spend_batchjob"),
        WorkspaceWall("spend_hold"),
        WorkspaceWall("spend_usageevent"),
        WorkspaceWall("spend_rollup"),
        WorkspaceWall("spend_limit", seen=_OF_A_SUBJECT),
        WorkspaceWall("spend_balance", seen=_OF_A_SUBJECT),
    ]
