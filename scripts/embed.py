#!/usr/bin/env python3
"""Writes files into a C++ source: embed.py OUT.cc NAME=FILE...; src/server/assets.h declares it."""

import hashlib
import sys
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
PIECE = 100  # bytes a line


def literal(data):
    """`data` as C string literals; three octal digits end an escape whatever follows."""
    def char(byte):
        plain = 32 <= byte < 127 and byte not in b'"\\?'
        return chr(byte) if plain else f"\\{byte:03o}"
    pieces = [data[i:i + PIECE] for i in range(0, len(data), PIECE)] or [b""]
    return "\n    ".join('"' + "".join(map(char, piece)) + '"' for piece in pieces)


def main():
    out, *pairs = sys.argv[1:]
    rows, data = [], []
    for index, pair in enumerate(sorted(pairs)):
        name, path = pair.split("=", 1)
        contents = Path(path).read_bytes()
        data.append(f"constexpr char kData{index}[] =\n    {literal(contents)};\n")
        rows.append(f'    {{"{name}", "{TYPES[Path(path).suffix]}", '
                    f'"\\"{hashlib.sha256(contents).hexdigest()[:16]}\\"", '
                    f'{{kData{index}, {len(contents)}}}}},\n')
    Path(out).write_text(
        '// Written by scripts/embed.py.\n#include "server/assets.h"\n\n'
        "namespace continuo::server {\nnamespace {\n\n" + "".join(data) +
        "constexpr Asset kAssets[] = {\n" + "".join(rows) + "};\n\n}  // namespace\n\n"
        "std::span<const Asset> assets() { return kAssets; }\n\n}  // namespace continuo::server\n")


if __name__ == "__main__":
    main()
