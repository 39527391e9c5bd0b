"""Long texts that are tokenized do not make others wait: neither a chat nor a prompt that is merely
long, while several of the largest are at work; and they end with their clients and deadlines."""

import threading
import time

from server_harness import TextTestCase, unittest

LARGE, LONG = 3_000_000, 200_000  # bytes: seconds of work each, and a fraction of one
WORDS = "The naïve 日本語 quick_brown(fox) 1234 jumps\n"


def text(size):
    return (WORDS * (size // len(WORDS.encode()) + 1)).encode()[:size].decode(errors="ignore")


class LongText(TextTestCase):
    ARGUMENTS = ["--context", "98304", "--slots", "2"]

    def tokenize(self, size, ends):
        status, answer = self.server.json("POST", "/tokenize", {"prompt": text(size)}, timeout=120)
        ends.append((time.monotonic(), status, answer.get("count", answer)))

    def chat(self):
        begun = time.monotonic()
        status, answer = self.server.json("POST", "/v1/chat/completions", {
            "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2})
        self.assertEqual(status, 200, answer)
        return time.monotonic() - begun

    def test_small_and_long_requests_pass_the_largest(self):
        self.chat()
        large, long = [], []
        threads = [threading.Thread(target=self.tokenize, args=(LARGE, large)) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)  # they have arrived
        alone = [threading.Thread(target=self.tokenize, args=(LONG, long))]
        alone[0].start()
        waits = []
        while len(large) < 3:
            waits.append(self.chat())
            time.sleep(0.05)
        for thread in threads + alone:
            thread.join()
        self.assertEqual({status for _, status, _ in large + long}, {200}, large + long)
        self.assertGreater(large[0][2], LARGE // 10)
        print(f"{len(waits)} chats took {max(waits):.2f} s at most beside 4 texts of {LARGE} bytes")
        self.assertGreater(len(waits), 4)
        self.assertLess(max(waits), 5)
        self.assertLess(long[0][0], large[1][0])  # before the second of the four that came earlier

    def leave(self, size, after):
        """Asks for a text to be tokenized and closes the connection."""
        client = self.server.post("/tokenize", {"prompt": text(size)})
        time.sleep(after)
        client.close()

    def test_texts_end_with_their_clients(self):
        def alone():
            ends = []
            begun = time.monotonic()
            self.tokenize(LARGE, ends)
            self.assertEqual(ends[0][1], 200, ends)
            return time.monotonic() - begun

        undisturbed = alone()
        threads = [threading.Thread(target=self.leave, args=(LARGE, 0.3)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = alone()
        print(f"a text of {LARGE} bytes took {undisturbed:.2f} s, and {after:.2f} s behind 6 abandoned ones")
        self.assertLess(after, 3 * undisturbed)
        left = [line for line in self.server.log if "client_disconnected" in line]
        self.assertGreaterEqual(len(left), 6, self.server.log[-20:])


class Deadline(TextTestCase):
    ARGUMENTS = ["--context", "300000", "--slots", "1", "--request-timeout", "1"]

    def test_a_text_ends_with_its_deadline(self):
        for path in ["/tokenize", "/v1/completions"]:
            begun = time.monotonic()
            status, answer = self.server.json("POST", path, {"prompt": text(3 * LARGE)}, timeout=120)
            took = time.monotonic() - begun
            print(f"{path} refused a text of {3 * LARGE} bytes after {took:.2f} s")
            self.assertEqual((status, answer["error"]["code"]), (503, "deadline_exceeded"), answer)
            self.assertLess(took, 5)


if __name__ == "__main__":
    unittest.main()
