"""The same request through the gateway and straight to Mistral: same bytes, same bill."""

import json
import re
from decimal import Decimal
from typing import Any

import httpx

from tests.gateway import tenancy
from tests.gateway.tenancy import Tenant
from tests.keys.keyring import name_of

# What Mistral itself makes anew for each answer.
_ANEW = re.compile(
    r'"(id|created|created_at|completed_at|item_id|conversation_id|p|sequence_number)":'
    r'(?:"(?:[^"\\]|\\.)*"|[0-9.]+|null)'
)


class Pair:
    """A tenant, and a key of the same making that asks Mistral without us."""

    def __init__(self, gateway, mistral, made_up, model: str, **row: Any) -> None:
        self.url, self.mistral = gateway.url, mistral
        self.tenant: Tenant = tenancy.make(
            made_up, mistral=dict(row), mistral_model=model, currency="USD"
        )
        self.plain = made_up(**row)
        self.model = model

    def send(
        self, path: str, method: str = "POST", **request: Any
    ) -> tuple[httpx.Response, httpx.Response]:
        """Send one request both ways."""
        answers = []
        for url, token in ((self.url, self.tenant.token), (self.mistral.url, self.plain)):
            headers = {"authorization": f"Bearer {token}"} | request.get("headers", {})
            answers.append(
                httpx.request(
                    method,
                    f"{url}{path}",
                    **request | {"headers": headers},
                    trust_env=False,
                    timeout=30,
                )
            )
        return answers[0], answers[1]

    def same(self, path: str, method: str = "POST", **request: Any) -> httpx.Response:
        """Send one request both ways, and compare status, type and bytes."""
        through, direct = self.send(path, method, **request)
        assert through.status_code == direct.status_code, through.text
        assert through.headers.get("content-type") == direct.headers.get("content-type")
        assert plain(through.content) == plain(direct.content)
        return through

    def billed(self, calls: int = 1) -> Any:
        """Compare both bills, and the ledger with them; returns the ledger's newest event."""
        events = self.tenant.settled(calls)
        ours = self.mistral.state.ledger.total(key=name_of(self.tenant.plain))
        theirs = self.mistral.state.ledger.total(key=name_of(self.plain))
        assert ours == theirs
        cost = sum((event.cost or Decimal(0) for event in events), Decimal(0))
        assert cost == ours.usd.quantize(Decimal("1e-9"))
        for meter in ("cached_tokens", "pages", "annotated_pages", "audio_seconds", "characters"):
            assert sum(getattr(event, meter) for event in events) == getattr(ours, meter), meter
        return events[-1]


def plain(body: bytes) -> str:
    """A body without what Mistral makes anew."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return repr(body)
    return _ANEW.sub(lambda found: f'"{found[1]}":…', text)


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """The documents in a stream."""
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]
