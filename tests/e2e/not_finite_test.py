"""Rows that compute NaN or infinities: an error of their own request, and of no other."""

import json

from harness import GOLDENS, golden
from server_harness import Server, TestCase, completion, events, unittest
from spoiled import spoil

COMPLETIONS = "/v1/completions"
BAD = 77  # a token of no golden prompt that is used here
VALUES = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


class NotFinite(TestCase):
    def healthy(self, case):
        prompt = golden(case)["prompts"][1]
        self.assertNotIn(BAD, prompt["ids"] + prompt["greedy"])
        return prompt["ids"], prompt["greedy"]

    def serve(self, case, value, *arguments):
        folder = self.folder / f"{case}-{value}"
        spoil(GOLDENS / case, folder, VALUES[value], BAD)
        server = Server(folder, self.cache, "--context", "96", *arguments)
        self.addCleanup(server.stop)
        return server

    def assert_error(self, server, **more):
        status, answer = server.json("POST", COMPLETIONS, completion(**more))
        self.assertEqual((status, answer["error"]["code"]), (500, "not_finite"), answer)

    def assert_healthy(self, server, case):
        ids, greedy = self.healthy(case)
        status, answer = server.json("POST", COMPLETIONS, completion(
            prompt=ids, max_tokens=len(greedy), return_token_ids=True))
        self.assertEqual((status, answer["choices"][0]["token_ids"]), (200, greedy))

    def check(self, case, value):
        server = self.serve(case, value, "--slots", "1")
        self.assert_healthy(server, case)
        ids, _ = self.healthy(case)
        middle, end = ids[:3] + [BAD] + ids[3:], ids + [BAD]
        self.assert_error(server, prompt=end)
        self.assert_healthy(server, case)  # in the same slot
        self.assert_error(server, prompt=middle)
        self.assert_healthy(server, case)
        self.assert_error(server, prompt=[BAD] * 70)
        self.assert_error(server, prompt=middle, temperature=0.9, seed=3)
        self.assert_error(server, prompt=middle, repetition_penalty=1.2)  # chosen on the host
        self.assert_error(server, prompt=middle, n=1, logprobs=3)
        self.assert_healthy(server, case)
        text = server.request("GET", "/metrics")[2]
        self.assertRegex(text, r'finished_reason="not_finite"[^\n]*} 6\n')
        server.wait_for("not finite")

    def test_attention(self):
        for value in VALUES:
            self.check("llama", value)

    def test_a_request_that_forbids_every_token(self):
        case = "llama"
        server = self.serve(case, "nan", "--slots", "1")
        ids, _ = self.healthy(case)
        vocab = json.loads((GOLDENS / case / "config.json").read_text())["vocab_size"]
        for more in ({}, {"temperature": 1, "seed": 5}, {"dry_multiplier": 0.5}):
            status, answer = server.json("POST", COMPLETIONS, completion(
                prompt=ids, max_tokens=9, min_tokens=6, stop_token_ids=list(range(vocab)), **more))
            self.assertEqual(status, 500, answer)
            self.assertIn("no token to choose", answer["error"]["message"])
            self.assert_healthy(server, case)

    def test_padding_is_no_token_of_the_model(self):
        """Prompts are padded; what the model makes of padding must not reach the state."""
        global BAD
        before, BAD = BAD, 0
        try:
            server = self.serve("jamba", "nan", "--slots", "2")
            self.assert_healthy(server, "jamba")
        finally:
            BAD = before

    def test_a_hybrid_with_experts(self):
        self.check("jamba", "nan")

    def test_latent_attention_with_experts(self):
        self.check("deepseek_v3", "inf")

    def test_the_others_go_on(self):
        """Beside a healthy stream; a stream of its own ends with an error event."""
        case = "llama"
        server = self.serve(case, "nan", "--slots", "2")
        ids, greedy = self.healthy(case)
        running = server.stream(COMPLETIONS, completion(
            prompt=ids, max_tokens=len(greedy), return_token_ids=True))
        bad = server.stream(COMPLETIONS, completion(prompt=ids + [BAD], max_tokens=20))
        self.assertIn(b"not_finite", bad.read_to_end())
        tokens = [token for part in events(running.read_to_end())
                  for token in part["choices"][0]["token_ids"]]
        self.assertEqual(tokens, greedy)
        self.assert_error(server, prompt=ids + [BAD], n=2, temperature=1)
        server.wait_idle()


if __name__ == "__main__":
    unittest.main()
