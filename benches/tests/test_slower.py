"""benches/slower on programs that write what criterion would."""

import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import sys
import tempfile
import unittest

BENCHES = pathlib.Path(__file__).resolve().parent.parent
LOADER = importlib.machinery.SourceFileLoader("slower", str(BENCHES / "slower"))
slower = importlib.util.module_from_spec(importlib.util.spec_from_loader("slower", LOADER))
LOADER.exec_module(slower)

# Two benches; the time of the second is the one that changes. A filter chooses as criterion's does.
PROGRAM = """#!{python}
import json, os, pathlib, random, sys
arguments = sys.argv[1:]
baseline = arguments[arguments.index("--save-baseline") + 1]
pattern = arguments[4] if len(arguments) > 4 else ""
for title, folder, ns in (("log/tail read", "log/tail_read", 1000), ("hop/one at a time", "hop/one_at_a_time", {ns})):
    if pattern in title:
        place = pathlib.Path(os.environ["CRITERION_HOME"], folder, baseline)
        place.mkdir(parents=True)
        median = {{"median": {{"point_estimate": ns * random.uniform(1, 1.01)}}}}
        (place / "estimates.json").write_text(json.dumps(median))
        (place / "benchmark.json").write_text(json.dumps({{"full_id": title}}))
"""


class Slower(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.folder = pathlib.Path(directory.name)
        self.output = io.StringIO()
        redirected = contextlib.redirect_stdout(self.output)
        redirected.__enter__()
        self.addCleanup(redirected.__exit__, None, None, None)

    def program(self, name, ns):
        path = self.folder / name
        path.write_text(PROGRAM.format(python=sys.executable, ns=ns))
        path.chmod(0o755)
        return {"hop": str(path)}

    def slower(self, before, after, pattern=""):
        """Those that are slower, first in all rounds and then alone."""
        sides = [self.program("before", before), self.program("after", after)]
        found = slower.rounds(self.folder / "criterion", sides, 5, pattern)
        slower.report(found)
        seems = [name for name, both in found.items() if slower.change.verdict(*both) == "slower"]
        return slower.again(self.folder, sides, 5, seems), found

    def test_what_became_slower_is_found_and_found_again_alone(self):
        named, found = self.slower(1000, 1100)
        self.assertEqual((named, len(found)), (["hop/one_at_a_time"], 2))
        self.assertIn("slower  hop/one_at_a_time", self.output.getvalue())

    def test_what_did_not_change_is_not_named(self):
        self.assertEqual(self.slower(1000, 1000)[0], [])

    def test_a_filter_chooses_benches(self):
        self.assertEqual(list(self.slower(1000, 1000, "tail")[1]), ["log/tail_read"])

    def test_a_bench_that_breaks_is_the_end(self):
        broken = self.folder / "broken"
        broken.write_text("#!/bin/sh\nexit 3\n")
        broken.chmod(0o755)
        with self.assertRaises(SystemExit):
            slower.times(self.folder, {"hop": str(broken)}, "0-0", "")


if __name__ == "__main__":
    unittest.main()
