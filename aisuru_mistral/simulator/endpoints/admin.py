"""GET /v1/admin/…: an organization as its administrators see it; the usage is the simulator's bill.

Refuses ordinary keys, and whatever the published file does not have. Rows of usage, which it leaves
free, are as observed on the dashboard's twin of the path; that a batch is told as half of what is
paid is assumed. `state.admin` says what no bill tells.
"""

import uuid
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from aisuru_mistral.simulator.catalogue import Price
from aisuru_mistral.simulator.keys import REGISTER, Key, User, Workspace
from aisuru_mistral.simulator.ledger import BATCH_FACTOR, PRIORITY_FACTOR, Line
from aisuru_mistral.simulator.routing import Call, Handler, Route
from aisuru_mistral.simulator.wire import Reply, StreamReply, json_reply

_MONTHS = 12
_CURRENCY, _SYMBOL = "EUR", "€"
_ROLES = (
    ("organization_admin", "Full access to the Organization", False),
    ("billing_manager", "Invoices, payment and usage", False),
    ("member", "Uses what Workspaces allow", False),
    ("workspace_admin", "Can manage workspace members and settings", True),
    ("workspace_contributor", "Uses the Workspace", True),
)
#: (part of the answer, event type, group, meter of the ledger, member of a price, units of it).
_METERS = (
    ("completion", "api_tokens", "input", "uncached_tokens", "input", 1_000_000),
    ("completion", "api_tokens", "cached", "cached_tokens", "cached_input", 1_000_000),
    ("completion", "api_tokens", "output", "completion_tokens", "output", 1_000_000),
    ("ocr", "api_pages", "pages", "pages", "page", 1000),
    ("ocr", "api_pages", "annotated_pages", "annotated_pages", "annotated_page", 1000),
    ("audio", "api_audio_seconds", "input", "audio_seconds", "audio_minute", 60),
    ("audio_characters", "api_audio_characters", "output", "characters", "character", 1_000_000),
    ("connectors", "api_connectors", "input", "connector_calls", "", 1),
)
_PARTS = ("completion", "ocr", "connectors", "audio", "audio_characters", "chat")


def usage(call: Call) -> Reply:
    """A month of the bill, of the organization or of one workspace."""
    month = _month(call)
    if month is None:
        return json_reply(422, {"detail": [_finding("month", "Input should be a month")]})
    following = _first_of_next(month)
    wanted = call.parameters.get("workspace_id", [""])[0]
    lines = [
        line
        for line in call.state.ledger.lines()
        if line.organization == call.key.organization.id
        and month <= line.day < following
        and wanted in {"", line.workspace}
    ]
    parts: dict[str, dict[str, Any]] = {name: {"models": {}} for name in _PARTS}
    prices: dict[tuple[str, str, str], dict[str, Any]] = {}
    for line in lines:
        for part, event_type, group, quantity, price in _metered(call, line):
            groups = parts[part]["models"].setdefault(f"{line.model}::{line.model}", {})
            _add(groups.setdefault(group, []), _row(line, event_type, group, quantity))
            at = (line.model, group, _tier(line))
            prices[at] = _price(line, event_type, group, price)
    none: dict[str, Any] = {"models": {}}
    answer = {
        **parts,
        "libraries_api": {"pages": none, "tokens": none, "audio_seconds": none},
        "fine_tuning": {"training": {}, "storage": {}},
        "vibe_usage": 0,
        "vibe_code": dict.fromkeys(
            ("completion", "ocr", "connectors", "audio", "audio_characters"), none
        ),
        "date": f"{month}T00:00:00Z",
        "previous_month": f"{month - timedelta(days=1):%Y-%m}",
        "next_month": f"{following:%Y-%m}",
        "start_date": f"{month}T00:00:00Z",
        "end_date": f"{following - timedelta(days=1)}T23:59:59.999Z",
        "currency": _CURRENCY,
        "currency_symbol": _SYMBOL,
        "prices": list(prices.values()),
    }
    return json_reply(200, answer)


def spend_limit(call: Call) -> Reply:
    """The organization's limit beside this month's usage."""
    limit = call.state.admin.spend_limit
    month = call.state.ledger.today().replace(day=1)
    used = sum(
        (
            _cost(call, line)
            for line in call.state.ledger.lines()
            if line.organization == call.key.organization.id and line.day >= month
        ),
        Decimal(),
    )
    completion = {
        "no_monthly_limit": limit is None,
        "monthly_limit_reached": limit is not None and used >= limit,
        "usage": float(used),
        "vibe_usage": 0.0,
        "total_usage": float(used),
        "usage_limit": None if limit is None else float(limit),
    }
    limits = {
        "completion": completion,
        "last_payment_failure": False,
        "last_payment_failure_protection": None,
        "currency": _CURRENCY,
    }
    return json_reply(200, {"limits": limits})


def rate_limit(call: Call) -> Reply:
    """Requests a second, and tokens by model."""
    admin = call.state.admin
    limits = {
        model: {"tokens_per_minute": per_minute, "tokens_per_month": per_month}
        for model, (per_minute, per_month) in admin.token_limits.items()
    }
    answer = {
        "requests_per_second": admin.requests_per_second,
        "tokens_limits_by_model": limits,
    }
    return json_reply(200, answer)


def api_keys(call: Call) -> Reply:
    """The organization's keys, masked; no total, so a short page is the last."""
    wanted = call.parameters.get("name", [""])[0].lower()
    keys = [
        _api_key(key)
        for key in _keys(call)
        if wanted in key.key_name.lower() or (wanted and key.secret.lower().endswith(wanted))
    ]
    offset, limit = _number(call, "offset", 0), _number(call, "limit", 100)
    return json_reply(200, {"keys": keys[offset : offset + limit]})


def users(call: Call) -> Reply:
    """Everybody who has a key of the organization, page by page; nobody is invited."""
    found: dict[str, tuple[User, list[Workspace]]] = {}
    for key in _keys(call):
        _user, workspaces = found.setdefault(key.user.id, (key.user, []))
        if key.workspace not in workspaces:
            workspaces.append(key.workspace)
    members = [
        _member(user, workspaces, is_first=number == 0)
        for number, (user, workspaces) in enumerate(found.values())
    ]
    page, size = _number(call, "page", 1), _number(call, "page_size", 25)
    answer = {
        "members": members[(page - 1) * size : page * size],
        "invites": [],
        "total": len(members),
        "page": page,
        "page_size": size,
    }
    return json_reply(200, answer)


def workspaces(call: Call) -> Reply:
    """The organization's workspaces, page by page."""
    found = {workspace.id: workspace for workspace in _workspaces(call)}
    items = [
        {
            "uuid": workspace.id,
            "name": workspace.name,
            "description": None,
            "icon": None,
            "members_count": None,
            "spend_limit": _workspace_limit(call.state.admin.workspace_limits.get(workspace.id)),
            "is_default": number == 0,
        }
        for number, workspace in enumerate(found.values())
    ]
    page, size = _number(call, "page", 1), _number(call, "page_size", 25)
    answer = {
        "total": len(items),
        "items": items[(page - 1) * size : page * size],
        "object": "list",
        "page": page,
        "page_size": size,
    }
    return json_reply(200, answer)


def roles(_call: Call) -> Reply:
    """Which id is which role."""
    rows = {of: [_role(*row) for row in _ROLES if row[2] is of] for of in (True, False)}
    return json_reply(200, {"workspace_roles": rows[True], "organization_roles": rows[False]})


def by_form(handler: Handler) -> Handler:
    """Refuse the header form that the key is set to refuse, as /v1/users/me does."""

    def answer(call: Call) -> Reply | StreamReply:
        form = call.key.identity_auth
        if form != "any" and call.request.auth not in {form, "both"}:
            return call.refuse("unauthorized")
        return handler(call)

    return answer


def _keys(call: Call) -> list[Key]:
    return [
        key
        for key in call.state.known_keys()
        if key.organization.id == call.key.organization.id and not key.admin
    ]


def _workspaces(call: Call) -> Iterable[Workspace]:
    for (name, _short), workspace in REGISTER.workspaces.items():
        if REGISTER.organizations[name].id == call.key.organization.id:
            yield workspace
    for key in (*_keys(call), call.key):
        yield key.workspace


def _api_key(key: Key) -> dict[str, Any]:
    return {
        "key_id": key.id,
        "key": None,
        "name": key.key_name,
        "hidden_key": f"{key.secret[:4]}...{key.secret[-4:]}",
        "created_at": "2026-01-15T09:00:00Z",
        "expiration_date": key.expires_on,
        "actions": {"rotate": {"status": "available"}, "delete": {"status": "available"}},
        "workspace_id": key.workspace.id,
        "workspace_name": key.workspace.name,
        "created_by": key.user.email,
        "product": "API",
        "last_used": None,
        "can_delete": True,
    }


def _member(user: User, workspaces: list[Workspace], *, is_first: bool) -> dict[str, Any]:
    role = "A" if is_first else "M"
    return {
        "uuid": user.id,
        "oid_id": user.id,
        "name": f"{user.first_name} {user.last_name}",
        "email": user.email,
        "workspaces": [
            {
                "uuid": workspace.id,
                "name": workspace.name,
                "is_default": False,
                "raw_roles": ["M"],
                "raw_role": "M",
            }
            for workspace in workspaces
        ],
        "subscriptions": [],
        "raw_roles": [role],
        "raw_role": role,
        "subscription_types": None,
        "created_at": "2026-01-10T08:00:00Z",
    }


def _role(name: str, description: str, _of_workspaces: bool) -> dict[str, Any]:  # noqa: FBT001 - a row
    identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, f"simulator role {name}"))
    return {"name": name, "uuid": identifier, "description": description, "is_custom_role": False}


def _workspace_limit(limit: Decimal | None) -> dict[str, Any] | None:
    if limit is None:
        return None
    return {"value": float(limit), "currency": _CURRENCY, "no_monthly_limit": False}


def _metered(call: Call, line: Line) -> Iterable[tuple[str, str, str, int, Decimal]]:
    quantities = {
        "uncached_tokens": line.prompt_tokens - line.cached_tokens + line.connector_tokens
    }
    published = _published(call, line)
    for part, event_type, group, meter, member, units in _METERS:
        quantity = quantities.get(meter, getattr(line, meter, 0))
        if quantity:
            price = getattr(published, member) / units if member else Decimal()
            yield part, event_type, group, quantity, price * call.state.admin.price_factor


def _published(call: Call, line: Line) -> Price:
    return call.state.catalogue.price_in_euro(line.model)


def _row(line: Line, event_type: str, group: str, quantity: int) -> dict[str, Any]:
    paid = quantity * BATCH_FACTOR if line.batch else Decimal(quantity)
    return {
        "usage_type": "usage",
        "event_type": event_type,
        "billing_metric": line.model,
        "billing_display_name": line.model,
        "billing_group": group,
        "timestamp": line.day.isoformat(),
        "value": quantity,
        "value_paid": int(paid) if paid == int(paid) else float(paid),
        "api_zone": "global",
        "service_tier": _tier(line),
    }


def _add(rows: list[dict[str, Any]], row: dict[str, Any]) -> None:
    """Add to the row of the same day and tier: Mistral tells no keys apart."""
    for known in rows:
        if all(known[name] == row[name] for name in ("timestamp", "service_tier")):
            known["value"] += row["value"]
            known["value_paid"] += row["value_paid"]
            return
    rows.append(row)


def _price(line: Line, event_type: str, group: str, price: Decimal) -> dict[str, Any]:
    factor = PRIORITY_FACTOR if _tier(line) == "priority" else Decimal(1)
    return {
        "event_type": event_type,
        "billing_metric": line.model,
        "billing_group": group,
        "api_zone": "global",
        "service_tier": _tier(line),
        "price": format(price * factor, "f"),
    }


def _tier(line: Line) -> str:
    return "priority" if line.service_tier == "priority" else "standard"


def _cost(call: Call, line: Line) -> Decimal:
    return line.cost(_published(call, line)) * call.state.admin.price_factor


def _month(call: Call) -> date | None:
    month = call.parameters.get("month", [""])[0]
    year = call.parameters.get("year", [""])[0]
    today = call.state.ledger.today()
    if not month and not year:
        return today.replace(day=1)
    if not month.isdecimal() or not year.isdecimal() or not 1 <= int(month) <= _MONTHS:
        return None
    return date(int(year), int(month), 1)


def _first_of_next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _number(call: Call, name: str, otherwise: int) -> int:
    text = call.parameters.get(name, [""])[0]
    return int(text) if text.isdecimal() else otherwise


def _finding(name: str, text: str) -> Mapping[str, Any]:
    return {"type": "value_error", "loc": ["query", name], "msg": text, "input": None}


ROUTES = tuple(
    Route("GET", f"/v1/admin/{path}", by_form(handler), "admin", forms=("x-api-key", "bearer"))
    for path, handler in (
        ("usage", usage),
        ("spend-limit", spend_limit),
        ("rate-limit", rate_limit),
        ("api-keys", api_keys),
        ("users", users),
        ("workspaces", workspaces),
        ("roles", roles),
    )
)
