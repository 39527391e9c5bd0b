"""Runs the unit tests of the page's modules, tests/web/unit/*.js, in the browser."""

import unittest
from pathlib import Path

from browser import TestCase, ready
from mock_server import MockServer

RUN = """async (file) => {
  const { tests } = await import(`/unit/${file}`);
  const results = [];
  for (const [name, test] of Object.entries(tests)) {
    try { await test(); results.push([name, ""]); }
    catch (error) { results.push([name, String(error)]); }
  }
  return results;
}"""


class Unit(TestCase):
    def test_modules(self):
        with MockServer() as server:
            page = self.open(server.url)
            ready(page)
            files = [
                p.name
                for p in sorted((Path(__file__).parent / "unit").glob("*.js"))
                if p.name != "check.js"
            ]
            self.assertGreaterEqual(len(files), 3)
            for file in files:
                results = page.evaluate(RUN, file)
                self.assertTrue(results, file)
                for name, failure in results:
                    with self.subTest(f"{file}: {name}"):
                        self.assertEqual(failure, "")


if __name__ == "__main__":
    unittest.main()
