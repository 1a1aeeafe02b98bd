"""Django settings: everything that differs between deployments comes from env.py."""

from typing import Any
from urllib.parse import urlsplit

from django.templatetags.static import static
from django.utils.csp import CSP

from aisuru_mistral import broker, env, logging, mailing, metric_files
from tenants.common.secrets import Secret

try:
    ENV = env.load()
    SECRET_KEY = ENV.secret_key
    ENCRYPTION_KEYRING = tuple(
        (key_id, key if isinstance(key, str) else Secret(key))
        for key_id, key in ENV.encryption_keyring
    )
    VAULT = ENV.vault
    DATA_KEY_DAYS = ENV.data_key_days
    MIGRATION_LOCK_SECONDS = ENV.migration_lock_seconds
    MIGRATION_ATTEMPTS = ENV.migration_attempts
    AUDIT_ANCHORS = ENV.audit_anchors
    DATA_DIR = ENV.data_dir
    DATABASE_URL = ENV.database_url
    DATABASE_DIRECT_URL = ENV.database_direct_url
    BROKER_URL = ENV.celery_broker_url
    MISTRAL_API_URL = ENV.mistral_api_url
    REDIS_URL = ENV.redis_url
    AISURU_API_URL = ENV.aisuru_api_url
    EMAIL_URL = ENV.email_url
    PUBLIC_URL = ENV.public_url
    ALLOWED_HOSTS = ENV.allowed_hosts
    DEBUG = ENV.debug
    WEB_CONCURRENCY = ENV.web_concurrency
    UPLOAD_WAITING_MIB = ENV.upload_waiting_mib
    TRACES = ENV.traces
    METRICS_TOKEN = ENV.metrics_token
    WEBHOOK_LOOPBACK = ENV.webhook_loopback
    KEY_TIMING = {"recheck": ENV.key_recheck_seconds}
    LOG_LEVEL = ENV.log_level
    VIES_API_URL = ENV.vies_api_url
    MAINTENANCE = ENV.maintenance
    STAFF_PASSWORD = ENV.staff_password
    DEFAULT_FROM_EMAIL = ENV.mail_from
    ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT = ENV.trusted_proxy_count
except env.ConfigurationError as refusal:
    raise SystemExit(f"aisuru-mistral does not start: {refusal}") from None

BASE_DIR = env.ROOT
ROOT_URLCONF = "aisuru_mistral.urls"
ASGI_APPLICATION = "aisuru_mistral.asgi.application"

INSTALLED_APPS = [
    "aisuru_mistral.apps.ShellConfig",
    # The support desk: its pages go before unfold's, and those before the admin's; nothing is
    # registered by itself.
    "tenants.support",
    "unfold.apps.BasicAppConfig",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.headless",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tenants.people",
    "tenants.organizations",
    "tenants.billing",
    "tenants.keys",
    "tenants.registry",
    "tenants.spend",
    "tenants.accounting",
    "tenants.onboarding",
    "tenants.assistance",
    "tenants.notices",
    "tenants.access",
    "tenants.api",
    "tenants.console",
]

MIDDLEWARE = [
    "tenants.access.requests.request_middleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "tenants.console.assets.Assets",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "tenants.console.maintenance.maintenance_middleware",
    "aisuru_mistral.hosts.Hosts",
    # Views of the API are exempt: they check for themselves, when a session is what lets them in.
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "tenants.console.chrome.looks",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]
FORM_RENDERER = "tenants.console.controls.Controls"

# ── Scripts, styles and pictures: straight from the packages that carry them ─────────────────────
STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "tenants.console.assets.VersionedFiles"},
}
STATICFILES_FINDERS = ["tenants.console.assets.NeededFiles"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 86_400  # addresses change with what is behind them
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_IMMUTABLE_FILE_TEST = r"(?!)"  # digests stand in queries, not in names

# ── Database ─────────────────────────────────────────────────────────────────────────────────────
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **env.django_database(DATABASE_URL),
        "CONN_HEALTH_CHECKS": True,
    }
}
DATABASES["default"]["OPTIONS"] |= {
    "application_name": "aisuru-mistral",
    # For `common.prepared`, nothing of Django's own; poolers may know no prepared statements.
    "prepare_threshold": 5 if DATABASE_DIRECT_URL is None else None,
    # Whoever asks after a vain attempt of so long begins a new one: the pool's own pauses grow.
    "pool": {
        "min_size": 1,
        "max_size": 12,
        "timeout": 5,
        "max_lifetime": 3600,
        "reconnect_timeout": 5,
    },
}
#: The alias for what belongs to a session: the same, unless a pooler shares sessions out.
DIRECT_DATABASE = "default"
if DATABASE_DIRECT_URL is not None:
    DIRECT_DATABASE = "direct"
    _pooled = DATABASES["default"]
    _pooled["DISABLE_SERVER_SIDE_CURSORS"] = True
    DATABASES["direct"] = _pooled | env.django_database(DATABASE_DIRECT_URL)
    DATABASES["direct"]["OPTIONS"] |= {
        **_pooled["OPTIONS"],
        "pool": _pooled["OPTIONS"]["pool"] | {"min_size": 0},
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ── People's languages and time ──────────────────────────────────────────────────────────────────
LANGUAGE_CODE = "it"
LANGUAGES = [("it", "Italiano"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "tenants" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# ── Requests ─────────────────────────────────────────────────────────────────────────────────────
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"  # with none, browsers hide where forms come from
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Nothing inline, nothing from elsewhere; pictures may be written into a page (codes to scan).
SECURE_CSP: dict[str, list[str]] = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}

# How often the management API may be asked: requests at once, and the seconds in which they drain.
API_RATES = {
    "platform": (60_000, 60),
    "token": (3_000, 60),
    "person": (1_200, 60),
    "organization": (9_000, 60),
    "intake": (120, 60),
    "mail": (30, 60),
    "export": (10, 3_600),
}

# ── People: who they are, how they sign in ───────────────────────────────────────────────────────
_IS_SECURE = PUBLIC_URL.startswith("https://")
_PREFIX = "__Host-" if _IS_SECURE else ""
AUTH_USER_MODEL = "people.Person"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {"user_attributes": ("email", "name")}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
    )
]
SESSION_COOKIE_NAME = f"{_PREFIX}aim_session"
SESSION_COOKIE_AGE = 14 * 86_400
SESSION_COOKIE_SECURE = _IS_SECURE
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = f"{_PREFIX}aim_csrf"
CSRF_COOKIE_SECURE = _IS_SECURE
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = ["{0.scheme}://{0.netloc}".format(urlsplit(PUBLIC_URL))]
CSRF_FAILURE_VIEW = "tenants.console.refusals.csrf_failure"
LANGUAGE_COOKIE_NAME = "aim_language"
LANGUAGE_COOKIE_SECURE = _IS_SECURE
LANGUAGE_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"

ACCOUNT_ADAPTER = "tenants.access.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_SIGNUP_FORM_CLASS = "tenants.access.accounts.SignupFacts"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_PREVENT_ENUMERATION = True
# No code by mail: whoever reads somebody's mail would have proved to be them.
ACCOUNT_REAUTHENTICATION_METHODS = {"password", "mfa"}
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_MAX_EMAIL_ADDRESSES = 5
HEADLESS_ONLY = True
HEADLESS_CLIENTS = ("browser",)
HEADLESS_ADAPTER = "tenants.access.accounts.HeadlessAdapter"
# Pages of the console; what mail leads to.
HEADLESS_FRONTEND_URLS = {
    "account_confirm_email": f"{PUBLIC_URL}/verify-email?code={{key}}",
    "account_reset_password": f"{PUBLIC_URL}/reset-password",
    "account_reset_password_from_key": f"{PUBLIC_URL}/reset-password/{{key}}",
    "account_signup": f"{PUBLIC_URL}/sign-up",
}
MFA_ADAPTER = "tenants.access.accounts.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "AIsuru · Mistral"
MFA_TOTP_TOLERANCE = 1
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not _IS_SECURE
USERSESSIONS_ADAPTER = "allauth.usersessions.adapter.DefaultUserSessionsAdapter"

# Counts of sign-ins and the like, shared by all processes.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "people_counters",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
MAILERS = {"default": mailing.mailer(EMAIL_URL)}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tenants.access.sessions.SessionAuthentication",
        "tenants.access.authentication.TokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tenants.access.permissions.DenyAll"],
    "DEFAULT_PARSER_CLASSES": ["tenants.access.requests.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "tenants.access.errors.problem_response",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "aisuru-mistral",
    "DESCRIPTION": (
        "Keys, models, spend and limits of organizations that bring their own Mistral account."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "string", "format": "uuid"}},
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "tenants.api.schema.write_nulls",
        "tenants.api.examples.add_examples",
    ],
    "ENUM_NAME_OVERRIDES": {
        "OrganizationStatus": "tenants.organizations.models.OrganizationStatus",
        "Role": "tenants.organizations.roles.Role",
        "WorkspaceRole": "tenants.organizations.roles.WorkspaceRole",
        "PlanName": "tenants.billing.models.PlanName",
        "FactSource": "tenants.billing.models.FactSource",
        "InvitationStatus": "tenants.organizations.models.InvitationStatus",
        "JoinRequestStatus": "tenants.organizations.models.JoinRequestStatus",
        "KeyStatus": "tenants.keys.models.KeyStatus",
        "ModelStatus": "tenants.registry.status.ModelStatus",
        "PublicationStatus": "tenants.api.publications.STATUSES",
        "ModelFlavour": "tenants.api.publications.FLAVOUR_NAMES",
        "StoredSecretStatus": "tenants.accounting.models.AdminKeyStatus",
        "EventSource": "tenants.api.spend.SOURCES",
        "FigureSource": "tenants.accounting.models.FigureSource",
        "ReconciliationStatus": "tenants.accounting.models.ReconciliationStatus",
        "DeliveryStatus": "tenants.notices.models.DeliveryStatus",
        "SyncStatus": "tenants.accounting.models.SyncStatus",
        "VerdictCode": "tenants.keys.models.VerdictCode",
    },
}

# ── The support desk ─────────────────────────────────────────────────────────────────────────────
UNFOLD = {
    "SITE_TITLE": "AIsuru · Mistral",
    "SITE_HEADER": "AIsuru · Mistral",
    "SITE_SYMBOL": "support_agent",
    "SITE_URL": "",
    "STYLES": [lambda _request: static("support/desk.css")],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
}

# ── Work in the background ───────────────────────────────────────────────────────────────────────
CELERY = broker.celery_settings(BROKER_URL)
CELERY_BEAT_SCHEDULE = {
    name: {"task": name, "schedule": seconds, "options": {"expires": seconds}}
    for name, seconds in {
        "keys.sweep": 10,
        "keys.notice_expiring": 3_600,
        "keys.audit_custody": 86_400,
        "keys.destroy_intake_keys": 3_600,
        "organizations.rotate_data_keys": 86_400,
        "spend.recover_orphans": 15,
        "spend.roll_up": 10,
        "spend.sum_up_pages": 60,
        "spend.tell_of_limits": 15,
        "spend.end_extensions": 30,
        "spend.sweep_batches": 10,
        "spend.learn_outputs": 86_400,
        "spend.prepare_partitions": 86_400,
        "spend.forget_old_events": 86_400,
        "spend.note_key_use": 60,
        "spend.sweep_probes": 60,
        "spend.watch_models": 21_600,
        "registry.sweep": 15,
        "accounting.sweep": 15,
        "accounting.close_months": 3_600,
        "access.sweep_idempotency": 300,
        "access.sweep_sessions": 86_400,
        "access.notice_expiring": 3_600,
        "organizations.sweep_invitations": 60,
        "organizations.anchor_audit": 3_600,
        "billing.sweep_vat": 300,
        "notices.sweep": 5,
        "notices.forget_old": 86_400,
    }.items()
}

LOGGING_CONFIG = None
logging.configure(LOG_LEVEL)
metric_files.install()
