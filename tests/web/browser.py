"""Headless Chromium for the page's tests. One browser a class, a fresh context a test; a script
error or a breach of the page's policy fails the test in which it happens."""

import os
import shutil
import time
import unittest

from playwright.sync_api import expect, sync_playwright

TIMEOUT_MS = 15_000

expect.set_options(timeout=TIMEOUT_MS)


def launch(playwright):
    chromium = os.environ.get("CONTINUO_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        raise RuntimeError("chromium is missing: run `make setup-test` first")
    # As root, as in a container, Chromium starts only without its sandbox.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=chromium, args=arguments)


class TestCase(unittest.TestCase):
    """open() gives a page; self.problems lists what went wrong in it."""

    @classmethod
    def setUpClass(cls):
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        cls.browser = launch(playwright)
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.problems = []
        self.addresses = []

    def tearDown(self):
        self.assertEqual(self.problems, [])

    def open(self, url, width=1280, height=800, **options):
        context = self.browser.new_context(viewport={"width": width, "height": height}, **options)
        self.addCleanup(context.close)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        page.on(
            "dialog",
            lambda dialog: (self.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()),
        )
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("console", self.note)
        page.goto(url)
        return page

    def note(self, message):
        # Chromium also logs each 401 and 503 as an error; those are wanted.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.problems.append(f"console: {message.text}")


def send(page, text):
    page.fill("#message", text)
    page.press("#message", "Enter")


def ready(page):
    expect(page.locator("#status")).to_have_attribute("data-state", "ready")


def wait_for(condition, what):
    limit = time.monotonic() + TIMEOUT_MS / 1000
    while not condition():
        if time.monotonic() > limit:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.02)


def wait_until(page, script):
    """Playwright's own wait_for_function needs eval, which the page's policy forbids."""
    wait_for(lambda: page.evaluate(script), script)


def answered(page):
    """Waits until nothing streams."""
    expect(page.locator(".turn.growing")).to_have_count(0)
    expect(page.locator("#send")).to_have_attribute("aria-label", "Send")
