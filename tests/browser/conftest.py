"""One browser and one server for each test worker; a page that watches what it is told."""

import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser import chromium
from tests.gateway.server import GatewayServer
from tests.keys.conftest import made_up, mistral

__all__ = ["made_up", "mistral"]

_AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: What axe looks at once more when the colours are others.
COLOURS = ["cat.color"]
_PATIENCE = 15_000
#: Where screenshots go, if anybody wants some.
PICTURES = os.environ.get("AIM_PICTURES")  # noqa: TID251 - for people who look


class Web(GatewayServer):
    """The whole web process, with a folder that its mail goes to."""

    def __init__(self, mistral_url: str) -> None:
        super().__init__(mistral_url)
        self.mail = Path(tempfile.mkdtemp(prefix="aim-mail-"))
        self._environment |= {
            "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
            "AIM_TEST_MAIL": str(self.mail),
            "PUBLIC_URL": self.url,
        }

    def code_for(self, address: str) -> str:
        """Read the code of the newest letter to an address."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for letter in self.mail.iterdir():
                text = letter.read_text("utf-8", errors="replace")
                found = re.search(r"^Subject: ([A-Z0-9]{4}-[A-Z0-9]{4}) ", text, re.MULTILINE)
                if f"To: {address}" in text and found:
                    return found[1]
            time.sleep(0.05)
        raise AssertionError("no letter came")


@dataclass
class Watched:
    """A tab, and everything in it that should not have been."""

    page: Page
    root: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(_PATIENCE)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"thrown: {error}"))
        self.page.on("request", self.asked)

    def _heard(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            where = message.location.get("url", "")
            text = f"{message.type} on {self.page.url}: {message.text} ({where})"
            self.complaints.append(text)

    def asked(self, request: Any) -> None:
        """Note what goes to another host."""
        if not request.url.startswith((self.root, "data:")):
            self.complaints.append(f"request: {request.url}")

    def go(self, path: str) -> int:
        """Visit a page; tell the status."""
        answer = self.page.goto(self.root + path)
        return answer.status if answer else 0

    def is_quiet(self, *, besides: str = "nothing") -> None:
        """See that nothing was complained of, but for what contains a text."""
        heard = [one for one in self.complaints if besides not in one]
        if heard:
            raise AssertionError("the browser complains:\n" + "\n".join(heard))

    def axe(self, rules: list[str] | None = None, *, has_colours: bool = True) -> list[str]:
        """Have axe look at the page; tell what it found, in words."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(_AXE)
        found = self.page.evaluate(
            """([rules, hasColours]) => axe.run(document, {
                runOnly: rules,
                rules: {'color-contrast': {enabled: hasColours}},
                resultTypes: ['violations'],
            })""",
            [rules or _RULES, has_colours],
        )
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"][:3]
        ]

    def picture(self, name: str) -> None:
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.page.evaluate("scrollTo(0, 0)")
            self.page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one file: while Playwright runs, nobody else can have an event loop here."""
    where = chromium.find()
    if where is None:
        pytest.skip("no Chromium on this machine: `make test` installs it where it may")
    # Playwright keeps an event loop in this thread, which Django takes for an asynchronous view.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # noqa: TID251 - for this process only
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=where, args=[*chromium.ARGUMENTS])
        yield started
        started.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]  # noqa: TID251 - as before


@pytest.fixture(scope="session")
def web(mistral, _database) -> Iterator[Web]:
    """The service, as it is deployed, before a simulated Mistral."""
    with Web(mistral.url) as server:
        yield server


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A person's browser, without a past."""
    made = browser.new_context(
        locale="it-IT",
        viewport={"width": 1280, "height": 900},
        reduced_motion="reduce",  # else axe may meet a colour that is on its way
    )
    yield made
    made.close()


@pytest.fixture
def tab(context: BrowserContext, web: Web) -> Watched:
    """A tab that watches itself."""
    return Watched(context.new_page(), web.url)


@pytest.fixture(autouse=True)
def _far_side(mistral, settings) -> None:
    """Check keys at the simulator, with time for a busy machine."""
    settings.MISTRAL_API_URL = mistral.url
    settings.KEY_TIMING = {**settings.KEY_TIMING, "read": 10, "answer": 20}
