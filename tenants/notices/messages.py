"""What an endpoint gets: the body and the headers of Standard Webhooks, version 1.

``https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md``. The
id is the announcement's, so it is the same in every attempt and every replay; each secret that is
in force signs, newest first.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from standardwebhooks import Webhook

from tenants.common.secrets import Secret
from tenants.organizations.models import Announcement

_AGENT = "aisuru-mistral-webhooks/1"


def id_of(announcement_id: UUID) -> str:
    """Name an announcement as receivers see it."""
    return f"msg_{announcement_id.hex}"


def body_of(announcement: Announcement) -> str:
    """Write the body: ``type``, ``timestamp`` (when it happened) and ``data``, as compact JSON."""
    workspace_id = announcement.workspace_id
    event = {
        "type": announcement.kind,
        "timestamp": announcement.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": {
            "organization_id": str(announcement.organization_id),
            "workspace_id": str(workspace_id) if workspace_id else None,
            **announcement.data,
        },
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def headers_of(
    announcement: Announcement, body: str, secrets: Iterable[Secret[str]], at: datetime
) -> dict[str, str]:
    """Write the headers, signed at an instant by each secret."""
    name, moment = id_of(announcement.pk), at.astimezone(UTC)
    signatures = [
        Webhook(secret.reveal()).sign(msg_id=name, timestamp=moment, data=body)
        for secret in secrets
    ]
    return {
        "Content-Type": "application/json",
        "User-Agent": _AGENT,
        "webhook-id": name,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
