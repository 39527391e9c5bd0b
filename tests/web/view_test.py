"""What the page looks like and how it is worked: the live batch, themes, a phone, the keyboard."""

import unittest

from browser import TestCase, answered, expect, ready, send, wait_until
from mock_server import Answer, MockServer, Options

WIDE = "\n\n".join(
    [
        "# " + "Heading" * 30,
        "word" * 60,
        "`" + "code" * 60 + "`",
        "```\n" + "x = 1; " * 60 + "\n```",
        "|" + "column|" * 20 + "\n|" + "-|" * 20 + "\n|" + "cell|" * 20,
        "[" + "l" * 200 + "](https://x.test/" + "y" * 200 + ")",
        "> > > > quoted",
        "1. a\n   - b\n     - c\n       - " + "d" * 90,
    ]
)


class View(TestCase):
    def start(self, options=None, **context):
        server = MockServer(options or Options())
        server.__enter__()
        self.addCleanup(server.__exit__)
        page = self.open(server.url, **context)
        ready(page)
        return server, page


class LiveBatch(View):
    def test_shows_a_request_on_its_way(self):
        server, page = self.start()
        expect(page.locator("#slots .slot")).to_have_count(4)
        expect(page.locator("#slots .slot.free")).to_have_count(4)
        server.answers["Long"] = Answer("word " * 5000, delay=0.01)
        send(page, "Long")
        slot = page.locator("#slot-0")
        expect(slot.locator(".slot-request")).to_have_text("#12")
        expect(slot.locator(".slot-state")).to_have_text("decoding")
        expect(page.locator("#running")).to_have_text("1 of 4")
        width = "document.querySelector('#slot-0 .bar-answer').getBoundingClientRect().width"
        before = page.evaluate(width)
        wait_until(page, f"{width} > {before} + 2")
        expect(slot.locator(".slot-position")).to_contain_text("/ 2,048")
        expect(page.locator("#rate")).not_to_have_text("0.0")
        expect(page.locator("#kv-text")).to_contain_text("of 8,192 positions")
        page.keyboard.press("Escape")
        expect(page.locator("#slots .slot.free")).to_have_count(4)

    def test_the_crowd_moves(self):
        _, page = self.start(Options(slots=6, busy=True))
        expect(page.locator("#slots .slot.prefill").first).to_be_visible()
        expect(page.locator("#slots .slot.decode").first).to_be_visible()
        expect(page.locator("#total-steps")).not_to_have_text("0")
        # The roll is drawn: some pixel has the colour of a voice, not of the ground or a line.
        coloured = """() => {
          const canvas = document.getElementById("roll");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          for (let i = 0; i < data.length; i += 4)
          {
            const rgb = data.slice(i, i + 3);
            if (Math.max(...rgb) - Math.min(...rgb) > 40) return true;
          }
          return false;
        }"""
        wait_until(page, coloured)

    def test_state_kinds(self):
        for kv, recurrent in ((True, False), (False, True)):
            _, page = self.start(Options(kv=kv, recurrent=recurrent))
            expect(page.locator("#slots .slot")).to_have_count(4)
            for locator, there in (
                ("#slot-0 .bar", kv),
                ("#kv-memory", kv),
                ("#slot-0 .tile", recurrent),
                ("#recurrent-memory", recurrent),
            ):
                expect(page.locator(locator)).to_be_visible(visible=there)
            if recurrent:
                expect(page.locator("#recurrent-text")).to_have_text("0 \u00d7 1.3 MiB")

    def test_asks_only_while_it_is_seen(self):
        _, page = self.start()
        expect(page.locator("#slots .slot")).to_have_count(4)
        asked = lambda: sum(address.endswith("/slots") for address in self.addresses)
        page.click("#tab-settings")
        page.wait_for_timeout(400)
        before = asked()
        page.wait_for_timeout(900)
        self.assertEqual(asked(), before)
        page.click("#tab-batch")
        page.wait_for_timeout(1500)
        self.assertIn(asked() - before, range(2, 7))


class Looks(View):
    def test_dark_and_light(self):
        ground = "getComputedStyle(document.body).backgroundColor"
        _, page = self.start(color_scheme="dark")
        self.assertEqual(page.evaluate(ground), "rgb(16, 21, 20)")
        page.click("#theme-toggle")
        self.assertEqual(page.evaluate(ground), "rgb(242, 244, 243)")
        page.reload()
        self.assertEqual(page.evaluate(ground), "rgb(242, 244, 243)")
        page.click("#theme-toggle")
        self.assertEqual(page.evaluate(ground), "rgb(16, 21, 20)")
        page.emulate_media(color_scheme="light")
        wait_until(page, f"{ground} === 'rgb(242, 244, 243)'")

    def test_nothing_is_wider_than_a_phone(self):
        server, page = self.start(Options(slots=5, busy=True), width=360, height=640)
        fits = lambda: self.assertLessEqual(
            page.evaluate("document.documentElement.scrollWidth"), 360
        )
        inner = lambda box: page.evaluate(
            f"(b => b.scrollWidth - b.clientWidth)(document.querySelector('{box}'))"
        )
        expect(page.locator("#panel")).to_be_hidden()
        fits()
        server.answers["Wide"] = Answer(WIDE, delay=0)
        send(page, "Wide " + "w" * 300)
        server.answers["Wide " + "w" * 300] = Answer(WIDE, delay=0)
        answered(page)
        page.get_by_role("button", name="Regenerate").click()
        answered(page)
        self.assertGreater(inner(".code-block pre"), 0)
        scrolled = "(p => (p.scrollLeft = 50, p.scrollLeft))(document.querySelector('pre'))"
        self.assertEqual(page.evaluate(scrolled), 50)
        fits()
        self.assertLessEqual(inner("#scroller"), 0)
        page.click("#open-batch")
        expect(page.locator("#slots .slot")).to_have_count(5)
        fits()
        self.assertLessEqual(inner("#batch"), 0)
        page.click("#tab-settings")
        fits()
        self.assertLessEqual(inner("#settings"), 0)
        box = page.locator("#panel").bounding_box()
        self.assertEqual((box["x"], box["width"]), (0, 360))

    def test_follows_the_newest_text_unless_the_reader_has_left(self):
        server, page = self.start(height=500)
        server.answers["Long"] = Answer("line\n\n" * 400, delay=0.002)
        send(page, "Long")
        box = "document.getElementById('scroller')"
        away = f"(s => s.scrollHeight - s.scrollTop - s.clientHeight)({box})"
        wait_until(page, f"{box}.scrollTop > 300")
        self.assertLess(page.evaluate(away), 100)
        page.mouse.move(300, 200)
        page.mouse.wheel(0, -4000)
        expect(page.locator("#to-latest")).to_be_visible()
        page.wait_for_timeout(300)
        self.assertGreater(page.evaluate(away), 200)
        page.click("#to-latest")
        wait_until(page, f"{away} < 60")
        expect(page.locator("#to-latest")).to_be_hidden()


class Keyboard(View):
    def test_everything_is_reached(self):
        _, page = self.start()
        focused = "document.activeElement.id || document.activeElement.textContent"
        page.keyboard.press("Tab")
        self.assertEqual(page.evaluate(focused), "Skip to the message box")
        page.keyboard.press("Enter")
        page.keyboard.type("Hi")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("there")
        self.assertEqual(page.input_value("#message"), "Hi\nthere")
        page.keyboard.press("Enter")
        answered(page)
        expect(page.locator("#message")).to_be_focused()
        page.focus("#open-batch")
        seen = []
        for _ in range(30):
            page.keyboard.press("Tab")
            seen.append(page.evaluate(focused))
        for wanted in ("open-settings", "theme-toggle", "message", "tab-batch", "close-panel"):
            self.assertIn(wanted, seen)
        page.focus("#tab-batch")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#tab-settings")).to_be_focused()
        expect(page.locator("#settings")).to_be_visible()
        page.focus("#clear")
        page.keyboard.press("/")
        expect(page.locator("#message")).to_be_focused()

    def test_the_panel_on_a_phone_gives_the_focus_back(self):
        _, page = self.start(width=360, height=640)
        page.focus("#open-settings")
        page.keyboard.press("Enter")
        expect(page.locator("#close-panel")).to_be_focused()
        for _ in range(10):
            page.keyboard.press("Shift+Tab")
            self.assertTrue(page.evaluate("!document.activeElement.closest('#main, #top')"))
        page.focus("#close-panel")
        page.keyboard.press("Escape")
        expect(page.locator("#panel")).to_be_hidden()
        expect(page.locator("#open-settings")).to_be_focused()

    def test_every_control_has_a_name(self):
        _, page = self.start()
        send(page, "Hi")
        answered(page)
        page.click("#open-settings")
        unnamed = page.evaluate("""() =>
          [...document.querySelectorAll("button, input, textarea, a")]
          .filter((node) => !node.getAttribute("aria-label") && !node.textContent.trim())
          .filter((node) => !node.labels?.length)
          .map((node) => node.outerHTML)""")
        self.assertEqual(unnamed, [])
        expect(page.get_by_role("log", name="Conversation")).to_be_visible()
        expect(page.locator("#announcer")).to_have_text("The answer is complete")


if __name__ == "__main__":
    unittest.main()
