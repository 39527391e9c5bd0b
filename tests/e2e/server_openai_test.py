"""The server through OpenAI's own Python package: a tiny hybrid by token ids, SmolLM2 by text."""

import asyncio
import os

import openai
from server_harness import (GOLDENS, Server, ServerTestCase, TestCase, TINY, greedy_case,
                            unittest)


def client(server, kind=openai.OpenAI, **more):
    return kind(**{"base_url": server.url + "/v1", "api_key": "any", "max_retries": 0, **more})


class TokenIds(ServerTestCase):
    def complete(self, **more):
        ids, greedy = greedy_case()
        arguments = {"model": "jamba", "prompt": ids, "max_tokens": 24, "temperature": 0,
                     "extra_body": {"ignore_eos": True, "return_token_ids": True}, **more}
        return client(self.server).completions.create(**arguments), greedy

    def test_greedy_ids_are_the_references(self):
        answer, greedy = self.complete()
        self.assertEqual(answer.choices[0].token_ids, greedy)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 24)
        self.assertEqual(answer.usage.prompt_tokens, len(greedy_case()[0]))

    def test_streams_the_same(self):
        parts, greedy = self.complete(stream=True, stream_options={"include_usage": True})
        ids, usage = [], None
        for part in parts:
            for choice in part.choices:
                ids += getattr(choice, "token_ids", None) or []
            usage = part.usage or usage
        self.assertEqual(ids, greedy)
        self.assertEqual(usage.completion_tokens, 24)

    def test_choices_and_seeds(self):
        def ids(**more):
            answer, _ = self.complete(temperature=1.0, n=3, **more)
            self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
            return [choice.token_ids for choice in answer.choices]

        first = ids(seed=5)
        self.assertEqual(first, ids(seed=5))
        self.assertNotEqual(first, ids(seed=6))
        self.assertNotEqual(first[0], first[1])

    def test_many_at_once_as_alone(self):
        async def all_of_them():
            async with client(self.server, openai.AsyncOpenAI) as many:
                return await asyncio.gather(*[many.completions.create(
                    model="jamba", prompt=greedy_case()[0], max_tokens=n, temperature=0,
                    extra_body={"ignore_eos": True, "return_token_ids": True})
                    for n in range(1, 21)])

        for n, answer in enumerate(asyncio.run(all_of_them()), 1):
            self.assertEqual(answer.choices[0].token_ids, greedy_case()[1][:n])

    def test_many_streams_at_once(self):
        async def one(many, n):
            ids = []
            async for part in await many.completions.create(
                    model="jamba", prompt=greedy_case()[0], max_tokens=n, temperature=0, stream=True,
                    extra_body={"ignore_eos": True}):
                ids += part.choices[0].token_ids
            return ids

        async def all_of_them():
            async with client(self.server, openai.AsyncOpenAI) as many:
                return await asyncio.gather(*[one(many, n) for n in range(1, 21)])

        for n, ids in enumerate(asyncio.run(all_of_them()), 1):
            self.assertEqual(ids, greedy_case()[1][:n])

    def test_logprobs(self):
        answer, greedy = self.complete(logprobs=3)
        got = answer.choices[0].logprobs
        names = [f"token_id:{id}" for id in greedy]
        self.assertEqual(got.tokens, names)
        for name, logprob, top in zip(names, got.token_logprobs, got.top_logprobs, strict=True):
            self.assertLess(logprob, 0)
            self.assertEqual(len(top), 3)
            self.assertEqual(logprob, top[name])  # greedy: none is likelier
            self.assertEqual(logprob, max(top.values()))
        parts, _ = self.complete(logprobs=3, stream=True)
        streamed = [part.choices[0].logprobs for part in parts]
        self.assertEqual([value for each in streamed if each for value in each.token_logprobs],
                         got.token_logprobs)

    def test_errors_have_their_types(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete(temperature=-1)
        self.assertIn("temperature", str(caught.exception))
        with self.assertRaises(openai.BadRequestError):
            self.complete(prompt=[1] * 64)
        with self.assertRaises(openai.BadRequestError):
            self.complete(extra_body={"top_k": "many"})
        with self.assertRaises(openai.BadRequestError):
            self.complete(echo=True)
        with self.assertRaises(openai.NotFoundError):
            self.complete(model="another")
        with self.assertRaises(openai.BadRequestError):  # no chat template
            client(self.server).chat.completions.create(
                model="jamba", messages=[{"role": "user", "content": "a"}])

    def test_a_closed_stream_frees_its_slot(self):
        for _ in range(5):
            parts, _ = self.complete(stream=True, max_tokens=40)
            next(iter(parts))
            parts.close()
        self.server.wait_idle()

    def test_models(self):
        model = client(self.server).models.list().data[0]
        self.assertEqual((model.id, model.chat, model.text), ("jamba", False, False))


class Keys(TestCase):
    def test_a_key_is_asked_for(self):
        server = Server(GOLDENS / "llama", self.cache, *TINY, "--slots", 1,
                        CONTINUO_API_KEY="secret")
        self.addCleanup(server.stop)
        with self.assertRaises(openai.AuthenticationError):
            client(server).models.list()
        self.assertEqual(client(server, api_key="secret").models.list().data[0].id, "llama")


class Queue(TestCase):
    def test_a_full_queue(self):
        server = Server(GOLDENS / "llama", self.cache, *TINY, "--slots", 1, "--max-queue", 100)
        self.addCleanup(server.stop)
        full = {"model": "llama", "prompt": [[5]] * 100, "max_tokens": 60}  # one after the other
        running = server.stream("/v1/completions", {**full, "ignore_eos": True})
        self.assertGreater(server.slots()["waiting"], 0)
        with self.assertRaises(openai.RateLimitError) as caught:  # there is no place for all
            client(server).completions.create(**full)
        self.assertEqual(caught.exception.code, "queue_full")
        self.assertGreater(int(caught.exception.response.headers["retry-after"]), 0)
        running.close()
        # A client that tries again, as the package does by itself, is served.
        answer = client(server, max_retries=5).completions.create(
            model="llama", prompt=[5], max_tokens=1)
        self.assertEqual(answer.usage.completion_tokens, 1)


class Chat(ServerTestCase):
    MODEL = os.environ.get("CONTINUO_SMOLLM2", "")
    ARGUMENTS = ["--context", "256", "--slots", "2", "--served-model-name", "smol"]
    QUESTION = {"model": "smol", "temperature": 0, "max_tokens": 40,
                "messages": [{"role": "user", "content": "What is the capital of France?"}]}

    def test_answers(self):
        answer = client(self.server).chat.completions.create(**self.QUESTION)
        self.assertEqual(answer.choices[0].message.content, "The capital of France is Paris.")
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_streams_with_logprobs(self):
        text, logprobs = "", []
        for part in client(self.server).chat.completions.create(
                **self.QUESTION, stream=True, logprobs=True, top_logprobs=2):
            text += part.choices[0].delta.content or ""
            if part.choices[0].logprobs:
                logprobs += part.choices[0].logprobs.content
        self.assertEqual(text, "The capital of France is Paris.")
        self.assertEqual(logprobs[0].token, "The")
        self.assertEqual(len(logprobs[0].top_logprobs), 2)
        self.assertEqual(logprobs[0].top_logprobs[0].logprob, logprobs[0].logprob)

    def test_logprobs_of_a_completion(self):
        answer = client(self.server).completions.create(
            model="smol", prompt="The capital of France is", max_tokens=6, temperature=0, logprobs=2)
        got, text = answer.choices[0].logprobs, answer.choices[0].text
        self.assertIn("Paris", text)
        self.assertEqual("".join(got.tokens), text)
        self.assertEqual(got.text_offset,
                         [len("".join(got.tokens[:i])) for i in range(len(got.tokens))])
        for token, logprob, top in zip(got.tokens, got.token_logprobs, got.top_logprobs, strict=True):
            self.assertEqual((len(top), max(top.values())), (2, logprob))
            self.assertEqual(top[token], logprob)

    def test_stop_strings(self):
        answer = client(self.server).chat.completions.create(**self.QUESTION, stop=[" is Par"])
        self.assertEqual(answer.choices[0].message.content, "The capital of France")
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_penalties_and_bias_change_the_answer(self):
        the = self.server.json("POST", "/tokenize", {"prompt": "The", "add_special_tokens": False})
        answer = client(self.server).chat.completions.create(
            **self.QUESTION, logit_bias={str(the[1]["tokens"][0]): -100}, presence_penalty=0.5)
        self.assertFalse(answer.choices[0].message.content.startswith("The"))

    def test_a_short_timeout_gives_up_and_frees_the_slot(self):
        with self.assertRaises(openai.APITimeoutError):
            client(self.server, timeout=0.05).chat.completions.create(
                **{**self.QUESTION, "max_tokens": 200}, extra_body={"ignore_eos": True})
        self.server.wait_idle()


if __name__ == "__main__":
    unittest.main()
