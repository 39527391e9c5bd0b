"""The batch of the mock server: slots and a queue, as /slots shows them."""

import random
import threading
import time


class Batch:
    """Slots and a queue; with `busy` a made-up crowd that advances with the clock."""

    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.slots = [None] * options.slots
        self.waiting = 0
        self.totals = {"prompt_tokens": 0, "generated_tokens": 0, "steps": 0, "failed_steps": 0}
        self.next_request = 11
        self.random = random.Random(5)
        self.then = time.monotonic()

    def take(self, prompt_tokens, mine=True):
        """A slot's number, or None where all are taken."""
        for at, slot in enumerate(self.slots):
            if slot is None:
                self.next_request += 1
                self.slots[at] = {
                    "request": self.next_request,
                    "prompt_tokens": prompt_tokens,
                    "position": 0,
                    "generated": 0,
                    "since": time.monotonic(),
                    "mine": mine,
                    "length": self.random.randint(40, 700),
                    "pace": self.random.uniform(18, 46),
                    "pause": 0,
                }
                return at
        return None

    def crowd(self):
        now = time.monotonic()
        elapsed, self.then = now - self.then, now
        self.totals["steps"] += int(elapsed * 41)
        for at, slot in enumerate(self.slots):
            if slot is None or slot["mine"]:
                continue
            if slot["position"] < slot["prompt_tokens"]:
                slot["position"] = min(
                    slot["prompt_tokens"], slot["position"] + int(elapsed * 420) + 1
                )
            else:
                tokens = max(1, int(elapsed * slot["pace"]))
                slot["generated"] += tokens
                slot["position"] += tokens
                self.totals["generated_tokens"] += tokens
            if slot["generated"] > slot["length"] or slot["position"] >= self.options.context:
                self.slots[at] = None
                self.waiting += self.random.random() < 0.4
        for _ in range(2):
            if self.random.random() < 0.45:
                prompt = self.random.randint(20, 900)
                if self.take(prompt, mine=False) is None:
                    self.waiting = min(9, self.waiting + (self.random.random() < 0.2))
                else:
                    self.waiting = max(0, self.waiting - 1)
                    self.totals["prompt_tokens"] += prompt

    def describe(self, at, slot):
        if slot is None:
            return {
                "id": at,
                "request": 0,
                "choice": 0,
                "state": "free",
                "prompt_tokens": 0,
                "position": 0,
                "generated": 0,
                "seconds": 0,
                "tokens_per_second": 0,
            }
        prefilling = slot["position"] < slot["prompt_tokens"]
        seconds = time.monotonic() - slot["since"]
        return {
            "id": at,
            "request": slot["request"],
            "choice": 0,
            "state": "prefill" if prefilling else "decode",
            "prompt_tokens": slot["prompt_tokens"],
            "position": slot["position"],
            "generated": slot["generated"],
            "seconds": round(seconds, 3),
            "tokens_per_second": 0
            if prefilling
            else round(slot["generated"] / max(seconds, 0.05), 2),
        }

    def state(self):
        with self.lock:
            if self.options.busy:
                self.crowd()
            slots = [self.describe(at, slot) for at, slot in enumerate(self.slots)]
            used = sum(slot["position"] for slot in slots)
            return {
                "slots": slots,
                "context": self.options.context,
                "waiting": self.waiting,
                "running": sum(slot["state"] != "free" for slot in slots),
                "kv": {
                    "positions": used,
                    "capacity": self.options.context * len(slots),
                    "bytes_per_token": 46080 if self.options.kv else 0,
                },
                "recurrent": {"bytes_per_slot": 1_380_352 if self.options.recurrent else 0},
                "totals": dict(self.totals),
                "tokens_per_second": round(sum(s["tokens_per_second"] for s in slots), 1),
            }
