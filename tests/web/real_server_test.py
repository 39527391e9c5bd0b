"""The page against the program itself: SmolLM2 where CONTINUO_SMOLLM2 names it, as `make test` does,
and a tiny hybrid model without a tokenizer."""

import json
import os
import re
import subprocess
import threading
import unittest
from pathlib import Path

from browser import TestCase, answered, expect, ready, send

LOAD_MS = 240_000  # the first start compiles
GOLDENS = Path(__file__).resolve().parent.parent / "goldens"


class Continuo:
    """`continuo serve` on a port of its own; url is where it listens, which it says first."""

    def __init__(self, model, *options):
        command = [os.environ["CONTINUO_BINARY"], "serve", "--model", str(model), "--port", "0"]
        command += ["--log-json", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.url, self.log = None, []
        for line in self.process.stderr:
            self.log.append(line)
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("event") == "listening":
                self.url = entry["address"] + "/"
                break
        # Nobody reads on: a full pipe would stop the server.
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr))
        self.reader.start()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(60)
        self.reader.join()
        self.process.stderr.close()
        return code


class RealServer(TestCase):
    def start(self, model, *options):
        server = Continuo(model, *options)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0, "".join(server.log)))
        self.assertIsNotNone(server.url, "".join(server.log))
        return server, self.open(server.url)

    @unittest.skipUnless(os.environ.get("CONTINUO_SMOLLM2"), "CONTINUO_SMOLLM2 names no model")
    def test_smollm2(self):
        model = os.environ["CONTINUO_SMOLLM2"]
        server, page = self.start(model, "--slots", "2", "--context", "256")
        expect(page.locator("#status")).to_have_attribute("data-state", "ready", timeout=LOAD_MS)
        expect(page.locator("#facts")).to_have_text("Chat \u00b7 256 positions")
        expect(page.locator("#slots .slot.free")).to_have_count(2)
        expect(page.locator("#slot-0 .tile")).to_be_hidden()

        # Open, type, stream.
        page.click("#open-settings")
        page.fill("#set-temperature", "0")
        page.fill("#set-max_tokens", "24")
        page.click("#tab-batch")
        send(page, "What is the capital of France?")
        answered(page)
        expect(page.locator(".turn.assistant .markdown")).to_contain_text("Paris")
        expect(page.locator(".figures")).to_have_text(
            re.compile(r"^\d+\.\d tok/s \u00b7 \d+\.\d\d s to first token \u00b7 \d+ tokens")
        )
        expect(page.locator("#usage")).to_have_text(re.compile(r"^\d+ of 256 positions$"))

        # The live view moves while an answer streams; stop frees the slot.
        page.click("#open-settings")
        page.fill("#set-max_tokens", "180")
        page.click("#tab-batch")
        send(page, "Write a long story about a river.")
        slot = page.locator("#slots .slot.decode")
        expect(slot).to_have_count(1)
        expect(slot.locator(".slot-position")).to_contain_text("/ 256")
        before = slot.locator(".slot-position").inner_text()
        expect(slot.locator(".slot-position")).not_to_have_text(before)
        expect(slot.locator(".slot-rate")).to_contain_text("tok/s")
        page.click("#send")
        answered(page)
        expect(page.locator(".figures").last).to_contain_text("stopped by you")
        expect(page.locator("#slots .slot.free")).to_have_count(2)
        expect(page.locator("#total-generated_tokens")).not_to_have_text("0")

        # What the server says of a wrong request is shown.
        page.click("#open-settings")
        page.fill("#set-temperature", "-1")
        send(page, "Hello")
        expect(page.locator(".turn .error").last).to_contain_text("temperature")

    def test_token_ids_of_a_hybrid(self):
        folder = GOLDENS / "lfm2"
        golden = json.loads((folder / "golden.json").read_text())["prompts"][2]
        ids, greedy = (", ".join(map(str, golden[name][:24])) for name in ("ids", "greedy"))
        _, page = self.start(folder, "--slots", "2", "--context", "64", "--api-key", "k3y")
        page.fill("#key", "k3y", timeout=LOAD_MS)
        page.keyboard.press("Enter")
        ready(page)
        expect(page.locator("#facts")).to_contain_text("Token ids")
        expect(page.locator("#slot-1 .tile")).to_be_visible()
        expect(page.locator("#slot-1 .bar")).to_be_visible()
        page.click("#open-settings")
        page.fill("#set-temperature", "0")
        page.fill("#set-max_tokens", "24")
        send(page, ids)
        answered(page)
        expect(page.locator(".turn.completion .plain")).to_have_text(f"{ids}, {greedy}")


if __name__ == "__main__":
    unittest.main()
