"""What this room forgets of an organization that is being erased, inside its scope."""

from tenants.accounting.models import AdminKey, Observed, SyncRun


def forget_all() -> int:
    """Shred the Admin API key and forget people and names; tell how many keys were shredded.

    Statements and reconciliations stay, as the ledger does: they hold sums.
    """
    Observed.objects.all().delete()
    SyncRun.objects.all().delete()
    shredded, _by_model = AdminKey.objects.all().delete()
    return shredded
