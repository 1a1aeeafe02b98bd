"""Looks at what vouches for audit chains outside of the database."""

from collections.abc import Iterator

from django.conf import settings

from aisuru_mistral.doctor.findings import Finding, Look, ok, warn
from tenants.organizations import audit_anchors


def looks() -> dict[str, Look]:
    """The look, by its name."""
    return {"anchors": _anchors}


def _anchors() -> Iterator[Finding]:
    if settings.AUDIT_ANCHORS is None:
        yield ok("anchors", "audit chains are anchored in the workers' log: keep it elsewhere")
        return
    chains = {head.organization_id for head in audit_anchors.heads()}
    vouched = chains & audit_anchors.read(audit_anchors.own()).keys()
    if chains and not vouched:
        yield warn(
            "anchors",
            f"no anchor vouches for any of {len(chains)} audit chains: {settings.AUDIT_ANCHORS} "
            "is not there, or is not the one that workers write to",
            "put AUDIT_ANCHORS on a volume that web and workers share, or set it to log and ship "
            "the log (docs/audit.md); workers write once an hour",
        )
    else:
        yield ok("anchors", f"anchors vouch for {len(vouched)} of {len(chains)} audit chains")
