"""The addresses where nothing of a tenant is, and the door of those who sign in."""

#: What is open to everybody, by address: nothing of a tenant is behind it.
OPEN = {
    "/api/v1/schema",
    "/api/v1/docs",
    "/api/v1/problems/<slug:code>",
    # The link is signed: it mutes one kind of mail for one member.
    "/api/v1/unsubscribe/<str:token>",
    "/health/live",
    "/health/ready",
    "/metrics",
}

#: The support desk. Whoever this table knows, with a token or a session of the console, gets the
#: same at each of its addresses: the way to the sign-in. What differs there is a staff role and a
#: support session, so every address of it has its row in ``tests/support/test_table.py``.
DESK = "/admin/"

#: Signing up, in and out, by method and address under ``/_allauth/browser/v1/``: what nobody gets
#: for an empty body, and what somebody who is signed in does. Nothing of a tenant is behind it.
ACCOUNTS = {
    ("GET", "config"): (200, 200),
    ("GET", "auth/session"): (401, 200),
    ("DELETE", "auth/session"): (401, 401),
    ("POST", "auth/signup"): (400, 400),
    ("POST", "auth/login"): (400, 400),
    ("POST", "auth/reauthenticate"): (401, 400),
    ("GET", "auth/email/verify"): (409, 409),
    ("POST", "auth/email/verify"): (409, 409),
    ("POST", "auth/email/verify/resend"): (409, 409),
    ("POST", "auth/password/request"): (400, 400),
    ("GET", "auth/password/reset"): (400, 400),
    ("POST", "auth/password/reset"): (400, 400),
    ("POST", "auth/2fa/authenticate"): (401, 401),
    ("POST", "auth/2fa/reauthenticate"): (401, 400),
    ("GET", "auth/webauthn/login"): (200, 200),
    ("POST", "auth/webauthn/login"): (400, 400),
    ("GET", "auth/webauthn/authenticate"): (401, 401),
    ("POST", "auth/webauthn/authenticate"): (401, 401),
    ("GET", "auth/webauthn/reauthenticate"): (401, 200),
    ("POST", "auth/webauthn/reauthenticate"): (401, 400),
    ("GET", "auth/sessions"): (401, 200),
    ("DELETE", "auth/sessions"): (401, 400),
    ("POST", "account/password/change"): (401, 400),
    ("GET", "account/email"): (401, 200),
    ("POST", "account/email"): (409, 400),
    ("PUT", "account/email"): (401, 400),
    ("PATCH", "account/email"): (401, 400),
    ("DELETE", "account/email"): (401, 400),
    ("GET", "account/authenticators"): (401, 200),
    ("GET", "account/authenticators/totp"): (401, 404),
    ("POST", "account/authenticators/totp"): (401, 400),
    ("DELETE", "account/authenticators/totp"): (401, 200),
    ("GET", "account/authenticators/webauthn"): (401, 200),
    ("POST", "account/authenticators/webauthn"): (401, 400),
    ("PUT", "account/authenticators/webauthn"): (401, 400),
    ("DELETE", "account/authenticators/webauthn"): (401, 400),
    ("GET", "account/authenticators/recovery-codes"): (401, 404),
    ("POST", "account/authenticators/recovery-codes"): (401, 400),
}

#: What every live token may read, by address: nothing of a tenant is behind it.
NO_SCOPE = {"/api/v1/intake-key"}
