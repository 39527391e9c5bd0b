"""What README.md shows, run as it stands there, and curl as a client of streams."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from server_harness import ServerTestCase, unittest

README = (Path(__file__).resolve().parent.parent.parent / "README.md").read_text()


class Readme(ServerTestCase):
    MODEL = os.environ.get("CONTINUO_SMOLLM2", "")
    ARGUMENTS = ["--context", "256", "--slots", "2"]

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
        # Sampled, as the model's own settings say: what it says is not certain.
        self.assertTrue(answer["choices"][0]["message"]["content"])
        self.assertEqual(answer["choices"][0]["message"]["role"], "assistant")

    def test_openai(self):
        self.assertTrue(self.output(sys.executable, "-c", self.example("python", "openai")).strip())

    def test_the_environment(self):
        said = self.output(sys.executable, "-c", "import openai; print(openai.OpenAI().models.list())",
                           OPENAI_BASE_URL=self.server.url + "/v1", OPENAI_API_KEY="none")
        self.assertIn("SmolLM2", said)

    def test_curl_sees_a_stream_as_it_comes(self):
        body = json.dumps({"prompt": "Once upon a time", "max_tokens": 100, "temperature": 0,
                           "ignore_eos": True, "stream": True})
        with subprocess.Popen(
                ["curl", "-sSN", self.server.url + "/v1/completions", "-d", body, "-H",
                 "Content-Type: application/json"], stdout=subprocess.PIPE, text=True) as curl:
            lines = []
            for line in curl.stdout:
                if line.startswith("data: "):
                    lines.append((time.monotonic(), line[6:].strip()))
                    if len(lines) == 1:  # most of it is still to come
                        self.assertEqual(self.server.slots()["running"], 1)
        self.assertEqual(curl.returncode, 0)
        self.assertEqual(lines[-1][1], "[DONE]")
        parts = [json.loads(text)["choices"][0] for _, text in lines[:-1]]
        self.assertEqual(parts[-1]["finish_reason"], "length")
        self.assertGreater(len({when for when, _ in lines}), 50)
        self.assertGreater(lines[-1][0] - lines[0][0], 0.2)  # 100 steps of 135M parameters


if __name__ == "__main__":
    unittest.main()
