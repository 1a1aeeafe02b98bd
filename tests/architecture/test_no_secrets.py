"""No secret lies in the repository: well-known shapes, our own tokens, and Mistral's keys."""

import re
from typing import Any

import pytest
from detect_secrets.core.plugins.initialize import from_plugin_classname
from detect_secrets.settings import transient_settings

from tenants.common.tokens import kind_of
from tests.papers.pages import ROOT, tracked

#: Recognisers of what has a shape of its own, and takes no time to look for.
SHAPES = (
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "SquareOAuthDetector",
    "StripeDetector",
    "TelegramBotTokenDetector",
    "TwilioKeyDetector",
)
#: Passwords in addresses that open nothing, and places where tests put one of their own.
MADE_UP = {
    "{made}",
    "{password.strip()}",
    "PASSWORD",
    "b",
    "guest",
    "p",
    "p%40ss",
    "password",
    "secret-of-the-database",
    "the-password-of-it",
}
_KEY = re.compile(
    r"(?<![\w+/-])(?=[A-Za-z0-9]*[a-z])(?=[A-Za-z0-9]*[A-Z])(?=[A-Za-z0-9]*\d)"
    r"[A-Za-z0-9]{32}(?![\w+/-])"
)
_TOKEN = re.compile(r"aim_[a-z]{3,4}_[A-Za-z0-9]{33}")
#: Keys that the simulator knows, and what tests and papers made up.
_KNOWN = re.compile(r"(?:Sim|RegisteredAt|RegisteredOver|Canary|AbCdEf|QwErTy|abcdef|cAnArY)\w+")
KNOWN_KEYS = {
    "HQSxGm3vTb8yLw5kZr2nXc7dJp4fUg6Y",
    "HQSxfB7IaJRKNHRv0e5OAYJNO1h2Ug6Y",
    "KcVfPq9sWm2hBt6xRj4yNd8gLz5vTa3Q",
    "KaKbKaKcVfPq9sWm2hBt6xRj4yNd8gLz",
    "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFi",
}
#: Files of digests, which have every shape there is.
DIGESTS = re.compile(r"requirements/\w+\.txt|.*package-lock\.json")


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    found = {}
    for name in tracked():
        if not DIGESTS.fullmatch(name):
            raw = (ROOT / name).read_bytes()
            if b"\0" not in raw[:8000]:
                found[name] = raw.decode("utf-8", "replace")
    return found


def test_nothing_has_the_shape_of_somebodys_secret(texts):
    with transient_settings({"plugins_used": [{"name": name} for name in SHAPES]}):
        plugins: list[Any] = [from_plugin_classname(name) for name in SHAPES]
    wrong = [
        f"{name}: {plugin.secret_type}"
        for name, text in texts.items()
        for plugin in plugins
        for secret in plugin.analyze_string(text)
        if secret not in MADE_UP
    ]
    assert wrong == []


def test_nothing_has_the_shape_of_a_mistral_key(texts):
    found = {
        (name, key)
        for name, text in texts.items()
        for key in _KEY.findall(text)
        if not _KNOWN.fullmatch(key) and key not in KNOWN_KEYS
    }
    assert found == set()


def test_no_token_of_ours_is_whole(texts):
    found = [
        name for name, text in texts.items() for token in _TOKEN.findall(text) if kind_of(token)
    ]
    assert found == []
