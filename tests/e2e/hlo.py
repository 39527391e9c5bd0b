"""Which parts of the caches a compiled step copies: reads what XLA dumps after its optimizations.

    python3 tests/e2e/hlo.py DUMP_FOLDER    # prints each step program's copies
"""

import math
import re
import sys
from pathlib import Path

COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
INSTRUCTION = re.compile(
    r"^\s+(ROOT )?%?([\w.\-]+) = (\w+)\[([\d,]*)\]\S* ([\w\-]+)\((.*)$", re.MULTILINE)
ALIAS = re.compile(r"\{\d+\}: \((\d+),")
COPIES = {"copy", "slice", "dynamic-slice", "concatenate", "transpose", "gather"}
BYTES = {"f32": 4, "bf16": 2, "f16": 2}


def dims(text):
    return [int(each) for each in text.split(",") if each]


def copied(text, positions):
    """Names and bytes of what the program copies of its caches: [.., positions or more, head size].

    A fusion counts by its root: one that slices and computes in one pass writes no copy.
    """
    computations, entry = {}, []
    for is_entry, name, body in COMPUTATION.findall(text):
        computations[name] = INSTRUCTION.findall(body)
        if is_entry:
            entry = computations[name]
    donated = {int(number) for number in ALIAS.findall(text.split("\n", 1)[0])}
    caches = [dims(shape) for _, _, _, shape, operation, rest in entry
              if operation == "parameter" and int(rest.split(")")[0]) in donated
              and len(dims(shape)) == 4]
    sizes = {size for _, _, _, size in caches}
    found = []
    for _, name, kind, shape, operation, rest in entry:
        called = re.search(r"calls=%?([\w.\-]+)", rest)
        if operation == "fusion" and called:
            operation = next(each[4] for each in computations[called.group(1)] if each[0])
        own = dims(shape)
        if (operation in COPIES and kind in BYTES and len(own) >= 2 and own[-1] in sizes
                and own[-2] >= positions):
            found.append((f"{name} {kind}[{shape}]", math.prod(own) * BYTES[kind]))
    return found


def programs(folder):
    """The optimized text of each step program that was compiled."""
    files = sorted(Path(folder).glob("*.step*_after_optimizations.txt"))
    return [file.read_text() for file in files]


if __name__ == "__main__":
    for program in programs(sys.argv[1]):
        found = copied(program, 200)
        total = sum(size for _, size in found)
        print(f"    {program.split(',')[0]}: {len(found)} copies, {total / 1e6:.1f} MB a step")
