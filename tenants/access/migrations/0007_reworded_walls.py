from django.db import migrations

from tenants.common.row_security import RewordedWorkspaceWall

_OF_A_SUBJECT = (
    "(subject_kind = 'workspace' AND subject_id = ANY ({workspaces}) OR subject_kind = 'model'"
    " AND subject_id IN (SELECT id FROM registry_registeredmodel) OR subject_kind = 'key'"
    " AND subject_id IN (SELECT id FROM keys_mistralkey))"
)


class Migration(migrations.Migration):
    """Walls say the same in words whose effect PostgreSQL can estimate (ADR 1)."""

    atomic = False  # each table is locked for a moment of its own

    dependencies = [
        ('access', '0006_token_rotation_and_networks'),
    ]

    operations = [
        RewordedWorkspaceWall("organizations_workspace", seen="id = ANY ({workspaces})"),
        RewordedWorkspaceWall("organizations_workspacemember"),
        RewordedWorkspaceWall("keys_mistralkey"),
        RewordedWorkspaceWall("registry_registeredmodel"),
        RewordedWorkspaceWall("registry_providerresource"),
        RewordedWorkspaceWall("registry_trafficpolicy"),
        RewordedWorkspaceWall("registry_publication"),
        RewordedWorkspaceWall("spend_workspacepolicy"),
        RewordedWorkspaceWall("spend_batchjob"),
        RewordedWorkspaceWall("spend_hold"),
        RewordedWorkspaceWall("spend_usageevent"),
        RewordedWorkspaceWall("spend_rollup"),
        RewordedWorkspaceWall("spend_limit", seen=_OF_A_SUBJECT),
        RewordedWorkspaceWall("spend_balance", seen=_OF_A_SUBJECT),
    ]
