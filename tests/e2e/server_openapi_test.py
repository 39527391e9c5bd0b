"""The API's description against the server: schemathesis sends what it allows and what it forbids,
and compares statuses, content types and bodies."""

import json
import subprocess
import sys

from server_harness import ServerTestCase, TextTestCase, TINY, unittest

CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,"
          "response_schema_conformance")


class Described(ServerTestCase):
    """Token ids: no text, so /tokenize and the chat answer 400 as they should."""

    ARGUMENTS = [*TINY, "--slots", "3"]
    SECONDS = 20

    def test_the_server_does_what_it_says(self):
        status, description = self.server.json("GET", "/openapi.json")
        self.assertEqual(status, 200)
        # This server's model, and answers short enough for many of them.
        name = self.server.json("GET", "/v1/models")[1]["data"][0]["id"]
        for schema in description["components"]["schemas"].values():
            fields = schema.get("properties", {})
            if "max_model_len" not in fields and "model" in fields:
                fields["model"] = {"const": name}
            if "max_tokens" in fields:
                fields["max_tokens"] = {"type": "integer", "minimum": 1, "maximum": 4}
        path = self.folder / "openapi.json"
        path.write_text(json.dumps(description))
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", self.server.url,
             "--phases", "coverage,fuzzing", "--max-examples", "10", "--generation-deterministic",
             "--checks", CHECKS, "--continue-on-failure", "--no-color", "--max-time",
             str(self.SECONDS)], capture_output=True, text=True, timeout=300, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])
        self.assertRegex(done.stdout, r"\d+ generated, \d+ passed")


class DescribedText(TextTestCase, Described):
    """With text and a chat template all of it is answered."""


if __name__ == "__main__":
    unittest.main()
