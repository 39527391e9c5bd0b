"""Folders whose vocabulary is not a tokenizer.json are served, and chat."""

import shutil
import unittest

from harness import GOLDENS, TestCase, run
from server_harness import TINY, Server

VOCABULARIES = GOLDENS / "tokenizer_files"
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"


class VocabularyFilesTest(TestCase):
    def model(self, file, name):
        model = self.copy("llama")
        shutil.copy(VOCABULARIES / file, model / name)
        (model / "chat_template.jinja").write_text(TEMPLATE)
        return model

    def test_a_folder_with_tokenizer_model_alone_chats(self):
        server = Server(self.model("char.model", "tokenizer.model"), self.cache, *TINY)
        try:
            body = {"messages": [{"role": "user", "content": "ab"}]}
            status, tokenized = server.json("POST", "/tokenize", body)
            self.assertEqual(status, 200, tokenized)
            # <s>, the text with a space in front, </s>.
            self.assertEqual(tokenized["tokens"][0], 1)
            self.assertEqual(tokenized["tokens"][-1], 2)
            self.assertEqual(len(tokenized["tokens"]), 5)
            status, answer = server.json("POST", "/v1/chat/completions", {**body, "max_tokens": 5})
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["usage"]["prompt_tokens"], 5)
            self.assertGreaterEqual(answer["usage"]["completion_tokens"], 1)
            _, models = server.json("GET", "/v1/models")
            self.assertTrue(models["data"][0]["chat"] and models["data"][0]["text"])
        finally:
            server.kill()

    def test_a_broken_vocabulary_is_named(self):
        model = self.model("tekken.json", "tokenizer.model")
        done = run("generate", "--model", model, "--prompt", "a", "--max-tokens", "1",
                   "--cache-dir", self.cache)
        self.assert_fails(done, "tokenizer.model", "SentencePiece")


if __name__ == "__main__":
    unittest.main()
