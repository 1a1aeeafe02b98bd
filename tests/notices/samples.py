"""What letters say: for each kind that is mailed the facts, and the subject in both languages."""

from typing import Any

KEY = {
    "name": "Chiave principale",
    "last4": "a1b2",
    "key_id": "00000000-0000-7000-8000-000000000001",
}
MODEL = {
    "model_id": "00000000-0000-7000-8000-000000000002",
    "name": "Assistente",
    "key_id": KEY["key_id"],
    "mistral_model": "mistral-small-latest",
    "snapshot": "mistral-small-2603",
}
SPEND = {
    "subject_kind": "organization",
    "subject_id": "00000000-0000-7000-8000-000000000003",
    "month": "2026-11",
    "limit": "1500.00",
    "spent": "1200.50",
    "held": "3.20",
    "currency": "EUR",
    "mode": "enforce",
    "resets_at": "2026-11-30T23:00:00Z",
}
LIMIT = {
    "subject_kind": "organization",
    "subject_id": SPEND["subject_id"],
    "limit": "600.00",
    "usual_limit": "500.00",
    "currency": "EUR",
    "until": "2026-11-29T23:00:00Z",
    "extended_by": "Lea (support)",
}
PRICES = [
    {
        "meter": "input",
        "currency": "EUR",
        "before": {"amount": "0.10", "per": 1_000_000},
        "after": {"amount": "0.12", "per": 1_000_000},
    }
]
#: Of each kind that is mailed: what was announced, and the subject in both languages.
SAMPLES: dict[str, tuple[dict[str, Any], str, str]] = {
    "key.validated": (
        KEY | {"status": "valid", "models": [MODEL]},
        "La chiave API …a1b2 funziona di nuovo in Produzione",
        "API key …a1b2 works again in Produzione",
    ),
    "key.invalid": (
        KEY | {"status": "invalid", "code": "key_unknown", "in_use_by": 2},
        "Chiave API …a1b2 non più valida in Produzione",
        "API key …a1b2 is no longer valid in Produzione",
    ),
    "key.replacement_refused": (
        KEY
        | {
            "replacement_last4": "zz99",
            "status": "invalid",
            "code": "key_unknown",
            "grace_ends_at": "2026-11-29T23:00:00Z",
            "in_use_by": 2,
        },
        "Il segreto sostitutivo …zz99 della chiave API …a1b2 è rifiutato in Produzione",
        "Replacement …zz99 of API key …a1b2 is refused in Produzione",
    ),
    "key.expiring": (
        KEY | {"expires_on": "2026-12-10", "days_left": 14, "in_use_by": 1},
        "La chiave API …a1b2 scade tra 14 giorni in Produzione",
        "API key …a1b2 expires in 14 days in Produzione",
    ),
    "key.leaked": (
        KEY | {"place": "gateway_prompt", "masked": True},
        "La chiave API …a1b2 è stata trovata dove non dovrebbe essere",
        "API key …a1b2 was found where it does not belong",
    ),
    "key.used_elsewhere": (
        {"month": "2026-10", "amount": "12.30", "currency": "EUR"},
        "Chiavi usate altrove: 12,30\xa0€ a ottobre 2026",
        "Keys are used elsewhere: €12.30 in October 2026",
    ),
    "token.expiring": (
        {
            "token_id": "00000000-0000-7000-8000-000000000004",
            "name": "Esportazione notturna",
            "hint": "aim_org_…zz99",
            "expires_at": "2026-12-10T23:00:00Z",
            "days_left": 14,
        },
        "Il token aim_org_…zz99 scade tra 14 giorni",
        "Token aim_org_…zz99 ends in 14 days",
    ),
    "token.leaked": (
        {"kind": "org", "last4": "zz99", "place": "management_api", "masked": False},
        "Il token …zz99 è stato trovato dove non dovrebbe essere",
        "Token …zz99 was found where it does not belong",
    ),
    "model.retiring": (
        MODEL
        | {
            "reason": "retiring",
            "retires_on": "2027-01-31",
            "days_left": 66,
            "replacement": "mistral-small-2612",
            "prices": PRICES,
        },
        "Il modello di Mistral dietro Assistente termina il 31 gennaio 2027",
        "The Mistral model behind Assistente ends on 31 January 2027",
    ),
    "alias.moved": (
        MODEL | {"from": "mistral-small-2603", "to": "mistral-small-2612", "prices": PRICES},
        "Assistente ora risponde con mistral-small-2612",
        "Assistente now answers with mistral-small-2612",
    ),
    "spend.threshold_reached": (
        SPEND | {"threshold": 80},
        "80% del limite di spesa di Rossi Srl già speso",
        "80% of the spending limit of Rossi Srl is spent",
    ),
    "spend.limit_reached": (
        SPEND,
        "Raggiunto il limite di spesa di Rossi Srl",
        "The spending limit of Rossi Srl is reached",
    ),
    "statement.closed": (
        {"month": "2026-10", "total": "1234.5", "currency": "EUR"},
        "L'estratto di ottobre 2026 è pronto: 1.234,50\xa0€",
        "The statement of October 2026 is ready: €1,234.50",
    ),
    "member.joined": (
        {"name": "Bruno", "role": "billing"},
        "Bruno è ora tra i membri di Rossi Srl",
        "Bruno is now a member of Rossi Srl",
    ),
    "member.requested": (
        {"name": "Dora"},
        "Dora chiede di entrare in Rossi Srl",
        "Dora asks to join Rossi Srl",
    ),
    "spend.limit_extended": (
        LIMIT,
        (
            "Il limite di spesa di Rossi Srl è 600,00\xa0€"
            " fino al 30 novembre 2026, 00:00 (Europe/Rome)"
        ),
        "The spending limit of Rossi Srl is €600.00 until 30 November 2026, 00:00 (Europe/Rome)",
    ),
    "spend.limit_restored": (
        LIMIT | {"limit": "500.00"},
        "Il limite di spesa di Rossi Srl è di nuovo 500,00\xa0€",
        "The spending limit of Rossi Srl is €500.00 again",
    ),
    "support.acted": (
        {"staff": "Lea (support)", "verb": "token.revoked", "reason": "ticket 7", "ticket": ""},
        "L'assistenza è intervenuta in Rossi Srl: un token è stato revocato",
        "The support staff acted in Rossi Srl: a token was revoked",
    ),
    "support.helped": (
        {"staff": "Lea (support)", "verb": "key.check_requested", "reason": "ticket 7"},
        "L'assistenza è intervenuta in Rossi Srl: una chiave è stata verificata",
        "The support staff acted in Rossi Srl: a key was checked",
    ),
    "support.session_opened": (
        {
            "staff": "Lea (support)",
            "reason": "ticket 7",
            "ticket": "",
            "may_change": True,
            "broken_open": True,
            "granted_by": "",
            "ends_at": "2026-11-26T10:00:00+00:00",
        },
        "L'assistenza ha aperto Rossi Srl",
        "The support staff opened Rossi Srl",
    ),
    "webhook.disabled": (
        {
            "webhook_id": "019abf0e-5b7c-7d1a-8f3e-2c4b5a697887",
            "host": "hooks.example.com",
            "reason": "gone",
            "description": "ERP",
        },
        "Il webhook verso hooks.example.com è stato disattivato",
        "The webhook to hooks.example.com was switched off",
    ),
}
