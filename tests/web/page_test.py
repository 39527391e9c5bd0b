"""The page against the mock server: asking, streaming, stopping, and what goes wrong."""

import json
import re
import unittest

from browser import TestCase, answered, expect, ready, send, wait_for
from mock_server import Answer, MockServer, Options

POEM = "Slow water \u2014 na\u00efve \u4e16\u754c \U0001f30a turns.\n\nIt **never** stops."


class PageTest(TestCase):
    def serve(self, **options):
        server = MockServer(Options(**options))
        server.__enter__()
        self.addCleanup(server.__exit__)
        return server

    def start(self, server=None, **options):
        """A server and its page, ready."""
        self.server = server or self.serve()
        page = self.open(self.server.url, **options)
        ready(page)
        return page

    def bodies(self):
        return [body for _, body in self.server.requests]


class Chat(PageTest):
    def test_opens(self):
        page = self.start()
        self.assertEqual(page.title(), "mock-135m \u00b7 Continuo")
        expect(page.locator("#model")).to_have_text("mock-135m")
        expect(page.locator("#facts")).to_have_text("Chat \u00b7 2,048 positions")
        expect(page.locator("#version")).to_have_text("0.1.0")
        page.get_by_role("button", name="Write a haiku about patience.").click()
        expect(page.locator("#message")).to_have_value("Write a haiku about patience.")
        expect(page.locator("#message")).to_be_focused()
        for address in self.addresses:
            self.assertTrue(address.startswith(self.server.url), address)

    def test_streams_an_answer(self):
        page = self.start()
        self.server.answers["Say it"] = Answer(POEM, delay=0.04, cut=3)
        expect(page.locator("#send")).to_be_disabled()
        send(page, "Say it")
        expect(page.locator(".turn.user")).to_have_text("Say it")
        expect(page.locator(".turn.growing .markdown")).to_contain_text("Slow w")
        expect(page.locator("#message")).to_have_value("")
        answered(page)
        expect(page.locator(".turn.assistant p").first).to_have_text(POEM.split("\n")[0])
        expect(page.locator(".turn.assistant strong")).to_have_text("never")
        self.assertRegex(
            page.locator(".figures").inner_text(),
            r"^\d+\.\d tok/s \u00b7 \d+\.\d\d s to first token \u00b7 \d+ tokens$",
        )
        expect(page.locator("#usage")).to_have_text(re.compile(r"^\d+ of 2,048 positions$"))
        path, body = self.server.requests[0]
        self.assertEqual(path, "v1/chat/completions")
        self.assertEqual(
            body,
            {
                "model": "mock-135m",
                "messages": [{"role": "user", "content": "Say it"}],
                "stream": True,
                "stream_options": {"include_usage": True},
            },
        )

    def test_stops(self):
        page = self.start()
        self.server.answers["Go on"] = Answer("more " * 5000, delay=0.01)
        stops = (lambda: page.click("#send"), lambda: page.keyboard.press("Escape"))
        for count, stop in enumerate(stops, 1):
            send(page, "Go on")
            expect(page.locator(".turn.growing .markdown")).to_contain_text("more")
            expect(page.locator("#send")).to_have_attribute("aria-label", "Stop")
            stop()
            answered(page)
            wait_for(lambda n=count: self.server.disconnects == n, "the connection to close")
            expect(page.locator(".turn.assistant .figures").last).to_contain_text("stopped by you")
        send(page, "Again")
        answered(page)
        expect(page.locator(".turn.assistant").last).to_contain_text("You wrote: Again")

    def test_regenerates(self):
        page = self.start()
        self.server.answers["Dice"] = Answer("five")
        send(page, "Dice")
        answered(page)
        self.server.answers["Dice"] = Answer("six")
        page.get_by_role("button", name="Regenerate").click()
        expect(page.locator(".turn.assistant .markdown")).to_have_text("six")
        self.assertEqual(*self.bodies())

    def test_keeps_the_conversation(self):
        page = self.start()
        page.click("#open-settings")
        page.fill("#set-system", "Be brief.")
        self.server.answers["two"] = Answer(status=500, error="no")
        for text in ("one", "two", "three"):
            send(page, text)
            answered(page)
        sent = [message["content"] for message in self.bodies()[-1]["messages"]]
        self.assertEqual(sent, ["Be brief.", "one", "You wrote: one", "three"])
        page.reload()
        ready(page)
        expect(page.locator(".turn.user")).to_have_text(["one", "two", "three"])
        expect(page.locator(".turn.assistant .markdown").first).to_have_text("You wrote: one")

        page.click("#clear")
        expect(page.locator(".turn")).to_have_count(0)
        expect(page.locator("#welcome")).to_be_visible()
        page.click("#undo-button")
        expect(page.locator(".turn.user")).to_have_count(3)
        page.click("#clear")
        page.reload()
        ready(page)
        expect(page.locator(".turn")).to_have_count(0)

    def test_sampling_controls(self):
        page = self.start()
        page.click("#open-settings")
        wanted = {
            "temperature": 0.7,
            "top_p": 0.9,
            "top_k": 40,
            "min_p": 0.05,
            "repetition_penalty": 1.1,
            "presence_penalty": -0.5,
            "frequency_penalty": 0.5,
            "seed": 7,
            "max_tokens": 5,
        }
        for name, value in wanted.items():
            page.fill(f"#set-{name}", str(value))
        page.fill("#set-stop", "END\n\\n\\n")
        page.reload()
        ready(page)
        send(page, "Hello there")
        answered(page)
        body = self.bodies()[0]
        self.assertEqual({**body, **wanted, "stop": ["END", "\n\n"]}, body)
        page.click("#open-settings")
        page.get_by_role("button", name="Back to the server").click()
        send(page, "Hello there")
        answered(page)
        self.assertEqual(set(self.bodies()[1]), {"model", "messages", "stream", "stream_options"})

    def test_code_is_coloured_and_copied(self):
        page = self.start(permissions=["clipboard-read", "clipboard-write"])
        code = 'def f():\n    return "<b>"\n'
        self.server.answers["Code"] = Answer(f"Here:\n\n```python\n{code}```\n")
        send(page, "Code")
        answered(page)
        expect(page.locator("pre .hljs-keyword").first).to_have_text("def")
        page.get_by_role("button", name="Copy code").click()
        expect(page.locator("#announcer")).to_have_text("Copied")
        self.assertEqual(page.evaluate("navigator.clipboard.readText()"), code)

    def test_attacks_in_an_answer_do_nothing(self):
        page = self.start()
        attack = "\n\n".join(
            [
                "<script>window.pwned = 1</script>",
                "<img src=/x onerror='window.pwned = 1'>",
                "a <b onclick=x>b</b>",
                "<iframe src=/x></iframe>",
                "[link](javascript:window.pwned=1)",
                "![p](https://elsewhere.test/p.png)",
                "<svg><script>window.pwned = 1</script></svg>",
                "<style>body{display:none}</style>",
                "```html\n<img src=/x onerror='window.pwned = 1'>\n```",
            ]
        )
        self.server.answers["Attack"] = Answer(attack, delay=0.001)
        send(page, "<img src=/y onerror='window.pwned = 1'>")
        answered(page)
        send(page, "Attack")
        answered(page)
        page.reload()
        ready(page)
        self.assertFalse(page.evaluate("'pwned' in window"))
        acting = "#transcript :is(img, script, iframe, style, b, [onclick], a[href^=javascript])"
        expect(page.locator(acting)).to_have_count(0)
        expect(page.locator(".turn.assistant").last).to_contain_text(
            "<script>window.pwned = 1</script>"
        )
        for address in self.addresses:
            self.assertTrue(
                address.startswith(self.server.url) and not re.search("/[xy]$", address), address
            )


class Failures(PageTest):
    def test_the_servers_words_are_shown(self):
        page = self.start()
        self.server.answers["Hot"] = Answer(status=400, error="temperature: wanted 0 to 2, got 9")
        send(page, "Hot")
        expect(page.locator(".turn .error")).to_have_text("temperature: wanted 0 to 2, got 9")
        answered(page)
        del self.server.answers["Hot"]
        page.get_by_role("button", name="Regenerate").click()
        expect(page.locator(".turn.assistant .markdown")).to_have_text("You wrote: Hot")
        expect(page.locator(".turn .error")).to_be_hidden()

    def test_an_error_in_the_stream(self):
        page = self.start()
        self.server.answers["Fail"] = Answer(
            "some words came", break_after=3, error="a step failed"
        )
        self.server.answers["Break"] = Answer("some words came", break_after=3)
        send(page, "Fail")
        answered(page)
        expect(page.locator(".turn .error")).to_have_text("a step failed")
        expect(page.locator(".turn.assistant .markdown")).to_have_text("some words c")
        send(page, "Break")
        answered(page)
        expect(page.locator(".turn .error").last).to_have_text(
            "The answer broke off before its end."
        )

    def test_api_key(self):
        page = self.open(self.serve(api_key="s3cret").url)
        expect(page.locator("#key-message")).to_contain_text("Wanted the API key")
        expect(page.locator("#key")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key")).to_have_value("")
        expect(page.locator("#key-form")).to_be_visible()
        page.fill("#key", "s3cret")
        page.click("#key-form button")
        ready(page)
        expect(page.locator("#key-form")).to_be_hidden()
        send(page, "Hello")
        answered(page)
        expect(page.locator(".turn.assistant .markdown")).to_have_text("You wrote: Hello")
        stored = page.evaluate("[JSON.stringify(localStorage), JSON.stringify(sessionStorage)]")
        self.assertNotIn("s3cret", stored[0])
        self.assertIn("s3cret", stored[1])

    def test_a_key_that_is_asked_for_later(self):
        page = self.start()
        page.click("#close-panel")
        self.server.options.api_key = "new"
        send(page, "Hello")
        expect(page.locator(".turn .error")).to_contain_text("Wanted the API key")
        page.fill("#key", "new")
        page.keyboard.press("Enter")
        expect(page.locator(".turn.assistant .markdown")).to_have_text("You wrote: Hello")
        expect(page.locator(".turn")).to_have_count(2)

    def test_waits_while_the_server_loads(self):
        page = self.open(self.serve(loading=2).url)
        expect(page.locator("#loading-text")).to_have_text("Compiling, 1 of 3")
        page.fill("#message", "Early")
        expect(page.locator("#send")).to_be_disabled()
        ready(page)
        expect(page.locator("#loading")).to_be_hidden()
        expect(page.locator("#send")).to_be_enabled()

    def test_comes_back_with_the_server(self):
        server = MockServer(Options())
        server.__enter__()
        page = self.start(server)
        port = server.server_address[1]
        server.__exit__()
        expect(page.locator("#loading-text")).to_have_text("The server cannot be reached.")
        with MockServer(Options(), port, model="another"):
            expect(page.locator("#model")).to_have_text("another")


class Modes(PageTest):
    def test_completion(self):
        page = self.start(self.serve(chat=False))
        expect(page.locator("#facts")).to_contain_text("Completion")
        page.click("#open-settings")
        expect(page.locator(".modes")).to_be_hidden()
        expect(page.locator("#set-system")).to_be_hidden()
        self.server.answers["Once"] = Answer(" upon a", finish="length")
        self.server.answers["Once upon a"] = Answer(" **time**\n<b>")
        send(page, "Once")
        answered(page)
        expect(page.locator(".turn.completion .plain")).to_have_text("Once upon a")
        expect(page.locator(".figures")).to_contain_text("reached the token limit")
        page.get_by_role("button", name="Continue from here").click()
        expect(page.locator(".turn.completion .plain")).to_have_text(
            "Once upon a **time**\n<b>", use_inner_text=True
        )
        answered(page)
        self.assertEqual(
            [(path, body["prompt"], body["max_tokens"]) for path, body in self.server.requests],
            [("v1/completions", "Once", 256), ("v1/completions", "Once upon a", 256)],
        )
        page.get_by_role("button", name="Regenerate").click()
        answered(page)
        expect(page.locator(".turn.completion .plain")).to_have_text("Once upon a")
        page.reload()
        expect(page.locator(".turn.completion .plain")).to_have_text("Once upon a")

    def test_a_chat_model_completes_too(self):
        page = self.start()
        page.click("#open-settings")
        page.get_by_role("radio", name="Completion").check(force=True)
        send(page, "Once")
        answered(page)
        self.assertEqual(self.server.requests[0][0], "v1/completions")

    def test_token_ids(self):
        page = self.start(self.serve(chat=False, text=False))
        page.click("#open-settings")
        expect(page.locator("#set-stop")).to_be_hidden()
        send(page, "hello")
        expect(page.locator("#composer-problem")).to_contain_text("no tokenizer")
        self.server.answers[(5, 7)] = Answer("17 4")
        self.server.answers[(5, 7, 17, 4)] = Answer("9")
        send(page, "5, 7")
        answered(page)
        expect(page.locator(".turn.completion .plain")).to_have_text("5, 7, 17, 4")
        page.get_by_role("button", name="Continue from here").click()
        expect(page.locator(".turn.completion .plain")).to_have_text("5, 7, 17, 4, 9")
        self.assertTrue(
            all(body["return_token_ids"] is True for body in self.bodies()),
            json.dumps(self.bodies()),
        )


if __name__ == "__main__":
    unittest.main()
