"""What README.md shows, run as it stands there, and curl as a client of streams."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from server_harness import TextTestCase, unittest

README = (Path(__file__).resolve().parent.parent.parent / "README.md").read_text()


class Readme(TextTestCase):
    def example(self, language, word):
        """The one block of README that has `word`, for this server's port."""
        blocks = [text for kind, text in re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", README)
                  if kind == language and word in text]
        self.assertEqual(len(blocks), 1, blocks)
        self.assertIn("127.0.0.1:8080", blocks[0])
        return blocks[0].replace("127.0.0.1:8080", f"{self.server.host}:{self.server.port}")

    def output(self, *command, **environment):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                              env={**os.environ, **environment})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_curl(self):
        answer = json.loads(self.output("bash", "-c", self.example("sh", "curl")))
        self.assertTrue(answer["choices"][0]["message"]["content"])
        self.assertEqual(answer["choices"][0]["message"]["role"], "assistant")

    def test_openai(self):
        self.assertTrue(self.output(sys.executable, "-c", self.example("python", "openai")).strip())

    def test_the_environment(self):
        said = self.output(sys.executable, "-c", "import openai; print(openai.OpenAI().models.list())",
                           OPENAI_BASE_URL=self.server.url + "/v1", OPENAI_API_KEY="none")
        self.assertIn("id='tiny'", said)

    def test_curl_sees_a_stream_as_it_comes(self):
        prompts = 20  # two at a time
        body = json.dumps({"prompt": [[5]] * prompts, "max_tokens": 200, "ignore_eos": True,
                           "stream": True})
        with subprocess.Popen(
                ["curl", "-sSN", self.server.url + "/v1/completions", "-d", body, "-H",
                 "Content-Type: application/json"], stdout=subprocess.PIPE, text=True) as curl:
            parts = []
            for line in curl.stdout:
                if not parts:  # most of it is still to come
                    self.assertGreater(self.server.slots()["waiting"], 0)
                if line.startswith("data: "):
                    parts.append(line[6:].strip())
        self.assertEqual(curl.returncode, 0)
        self.assertEqual(parts.pop(), "[DONE]")
        choices = [json.loads(part)["choices"][0] for part in parts]
        ends = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
        self.assertEqual(ends, ["length"] * prompts)


if __name__ == "__main__":
    unittest.main()
