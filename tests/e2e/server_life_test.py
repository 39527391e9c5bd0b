"""How the server starts, stops and bears faults around it: cache, model, plugin, port."""

import json
import os
import resource
import shutil
import socket
import subprocess
import time

from harness import BINARY
from server_harness import (GOLDENS, Server, TestCase, TINY, completion, events, greedy_case,
                            text_model, unittest)

COMPLETIONS = "/v1/completions"
MANY = 100  # prompts of one request, two at a time: 3000 steps


class Life(TestCase):
    MODEL = GOLDENS / "llama"

    def serve(self, *arguments, cache=None, model=None, **more):
        server = Server(model or self.MODEL, cache or self.cache, *TINY, "--slots", "2", *arguments,
                        **more)
        self.addCleanup(server.stop)
        return server

    def assert_serves(self, server):
        """The reference's tokens."""
        ids, greedy = greedy_case("llama")
        status, answer = server.json("POST", COMPLETIONS, completion(
            prompt=ids, max_tokens=24, return_token_ids=True))
        self.assertEqual((status, answer["choices"][0]["token_ids"]), (200, greedy))

    def test_loading_is_told(self):
        server = self.serve(cache=self.folder / "cold", wait=False)
        status, answer = server.json("GET", "/health")
        self.assertEqual((status, answer["status"]), (503, "loading"))
        self.assertIn("stage", answer["progress"])
        status, headers, text = server.request("POST", COMPLETIONS, completion())
        self.assertEqual((status, json.loads(text)["error"]["code"]), (503, "loading"))
        self.assertGreater(int(headers["Retry-After"]), 0)
        self.assertEqual(server.request("GET", "/metrics")[0], 200)
        server.wait_for("ready")
        self.assertEqual(server.json("GET", "/health"), (200, {"status": "ok"}))
        self.assertTrue(any("loading stage=compile" in line for line in server.log), server.log)

    def test_a_running_answer_ends_before_the_server_does(self):
        server = self.serve()
        running = server.stream(COMPLETIONS, completion(prompt=[[5]] * MANY, max_tokens=60))
        idle = socket.create_connection((server.host, server.port), timeout=20)
        self.addCleanup(idle.close)
        self.assertGreater(server.slots()["running"], 0)
        server.ask_to_stop()
        self.assertEqual(idle.recv(1), b"")  # closed at once
        self.assertIsNone(server.process.poll())
        tokens, ends = [0] * MANY, [None] * MANY
        for part in events(running.read_to_end()):
            choice = part["choices"][0]
            tokens[choice["index"]] += len(choice["token_ids"])
            ends[choice["index"]] = choice["finish_reason"]
        self.assertEqual((tokens, ends), ([60] * MANY, ["length"] * MANY))
        server.stop()
        self.assertIn("all_answered=true", server.log[-2])

    def test_a_drain_has_a_limit(self):
        server = self.serve("--drain-seconds", "0.2")
        running = server.stream(COMPLETIONS, completion(prompt=[[5]] * 4 * MANY, max_tokens=60))
        start = time.monotonic()
        server.stop()
        self.assertLess(time.monotonic() - start, 10)
        self.assertEqual(events(running.read_to_end())[-1]["error"]["code"], "shutting_down")
        self.assertIn("all_answered=false", server.log[-2])

    def test_a_request_has_a_deadline(self):
        server = self.serve("--request-timeout", "0.2")
        long = completion(prompt=[[5]] * 10 * MANY, max_tokens=60)
        last = events(server.stream(COMPLETIONS, long).read_to_end())[-1]
        self.assertEqual(last["error"]["code"], "deadline_exceeded")
        status, answer = server.json("POST", COMPLETIONS, long)
        self.assertEqual((status, answer["error"]["code"]), (503, "deadline_exceeded"))
        server.wait_idle()
        self.assert_serves(server)

    def test_the_models_own_sampling_is_the_default(self):
        server = self.serve(model=text_model(self.folder, temperature=0, max_new_tokens=7))
        bare = {"prompt": "Hello", "ignore_eos": True}
        answers = [server.json("POST", COMPLETIONS, {**bare, **more})[1] for more in (
            {}, {"temperature": 0}, {"temperature": 2, "seed": 1, "max_tokens": 9})]
        texts = [answer["choices"][0]["text"] for answer in answers]
        self.assertEqual(texts[0], texts[1])
        self.assertFalse(texts[2].startswith(texts[0]))
        self.assertEqual([answer["usage"]["completion_tokens"] for answer in answers], [7, 7, 9])

    def test_logs_are_objects_and_keep_prompts_to_themselves(self):
        model = text_model(self.folder)
        for options, shown in (([], False), (["--log-prompts"], True)):
            server = self.serve("--log-json", *options, model=model)
            for body in ({"prompt": "secret", "max_tokens": 2}, {"prompt": "x", "top_p": "secret"},
                         {"prompt": "x", "stop": "secret", "max_tokens": 1}, '{"secret": '):
                server.request("POST", COMPLETIONS, body, {"X-Request-Id": "abc-1"})
            server.stop()
            lines = [json.loads(line) for line in server.log if line != "<end>"]
            self.assertTrue(all(line["time"] and line["level"] and line["event"] for line in lines))
            requests = [line for line in lines if line["event"] == "request"]
            self.assertEqual([line["status"] for line in requests], [200, 400, 200, 400])
            self.assertEqual({line["id"] for line in requests}, {"abc-1"})
            self.assertEqual(requests[0]["completion_tokens"], 2)
            self.assertEqual("secret" in "".join(server.log), shown)

    def test_stopped_while_it_loads(self):
        server = self.serve(cache=self.folder / "cold", wait=False)
        server.stop()
        self.assertFalse(any("ready" in line for line in server.log), server.log)

    def test_a_second_start_compiles_nothing(self):
        self.serve().stop()
        server = self.serve()
        ready = next(line for line in server.log if "ready" in line)
        self.assertIn("compiled=0", ready)

    def test_killed_while_it_writes_its_cache(self):
        cache = self.folder / "cache"
        for wait in (0.3, 0.8, 1.5):
            server = self.serve(cache=cache, wait=False)
            time.sleep(wait)
            server.kill()
        self.assert_serves(self.serve(cache=cache))

    def test_a_file_where_the_cache_should_be(self):
        (self.folder / "file").write_text("")
        server = self.serve(cache=self.folder / "file" / "cache")
        self.assert_serves(server)
        self.assert_warned(server, "file/cache")

    def test_a_disk_that_is_full(self):
        """A limit on the size of files stands for it; executables are longer."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

        cache = self.folder / "cache"
        server = self.serve(cache=cache, options={  # SIGXFSZ stays ignored: writing fails
            "preexec_fn": limit, "restore_signals": False})
        self.assert_serves(server)
        self.assert_warned(server, str(cache))
        server.stop()
        self.assertEqual([file for file in cache.rglob("*") if file.is_file()], [])
        self.assert_serves(self.serve(cache=cache))

    def assert_warned(self, server, part):
        server.wait_for("continuo: warning: ", part)

    def test_the_model_goes_away(self):
        model = self.copy("llama")
        server = self.serve(model=model)
        shutil.rmtree(model)
        self.assert_serves(server)

    def test_faults_at_the_start(self):
        def fails(*arguments):
            return subprocess.run([BINARY, "serve", *map(str, arguments)], capture_output=True,
                                  text=True, timeout=120)

        self.assert_serve_fails(fails("--model", self.folder / "none", "--port", 0), "none")
        self.assert_serve_fails(
            fails("--model", self.MODEL, "--port", 0, "--plugin", "/no/plugin.so"), "/no/plugin.so")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assert_serve_fails(fails("--model", self.MODEL, "--port", port), str(port))

    def test_what_would_leave_it_open_is_refused(self):
        def fails(*arguments, **environment):
            done = subprocess.run([BINARY, "serve", "--model", str(self.MODEL), "--port", "0",
                                   *arguments], capture_output=True, text=True, timeout=120,
                                  env={**os.environ, **environment})
            self.assert_serve_fails(done, "API key")
            self.assertNotIn("listening", done.stderr)

        fails(CONTINUO_API_KEY="")
        fails("--api-key", "right", CONTINUO_API_KEY="")
        fails("--api-key", "")
        fails("--host", "0.0.0.0")
        fails("--host", "::")

    def assert_serve_fails(self, done, part):
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, r"(?m)^continuo: \S")
        self.assertIn(part, done.stderr)


if __name__ == "__main__":
    unittest.main()
