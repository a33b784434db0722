"""benches/compare with brokers that are made up: what fails on a side fails the comparison, and the rest goes on."""

import contextlib
import io
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

BENCHES = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(BENCHES), str(BENCHES.parent / "interop")]

from comparison import main, measures, report, sides  # noqa: E402


class MadeUp:
    """A broker that is never started."""

    def __init__(self, kind, mode, options, results):
        self.kind, self.mode = kind, mode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def sound(bench):
    """Answers at once."""
    return {"produce, MB/s": 30.0 if bench.kind == "kring" else 10.0}


def broken(bench):
    """Breaks on one side."""
    if bench.kind == "kafka":
        raise RuntimeError("the client ended with 1\nand said more")
    return sound(bench)


def senseless(bench):
    """Gives what is no figure."""
    return {"produce, MB/s": float("nan")}


class Comparison(unittest.TestCase):
    def compare(self, *functions, flags=("--rounds", "2")):
        """Exit code and report of a run of measures that do nothing but this."""
        made = [measures.Measure(function.__name__, function) for function in functions]
        with tempfile.TemporaryDirectory() as out, contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(measures, "ALL", made))
            stack.enter_context(mock.patch.object(measures, "NAMES", [m.name for m in made]))
            stack.enter_context(mock.patch.object(sides, "Bench", MadeUp))
            stack.enter_context(mock.patch.object(main, "prepare", lambda options: None))
            stack.enter_context(mock.patch.object(report, "about", lambda options: {}))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            code = main.main(["--out", out, *flags])
            return code, (pathlib.Path(out) / "report.md").read_text()

    def test_medians_and_how_many_times_better_are_in_the_report(self):
        code, text = self.compare(sound)
        self.assertEqual(code, 0)
        self.assertIn("| produce, MB/s | 10 (10 to 10) | 30 (30 to 30) | 3 × |", text)

    def test_a_side_that_fails_fails_the_comparison_is_named_and_stops_nothing(self):
        for flags in (("--rounds", "2"), ("--short",)):
            code, text = self.compare(broken, sound, flags=flags)
            self.assertEqual(code, 1, flags)
            self.assertIn("**Failed:** broken, ", text)
            self.assertIn("kafka: RuntimeError: the client ended with 1", text)
            self.assertIn("## sound", text)

    def test_what_is_no_figure_is_a_failure(self):
        self.assertEqual(self.compare(senseless)[0], 1)

    def test_short_runs_every_measure_once_on_both(self):
        code, text = self.compare(sound, flags=("--short",))
        self.assertEqual(code, 0)
        self.assertIn("| produce, MB/s | 10 | 30 | 3 × |", text)

    def test_every_measure_says_what_it_is(self):
        for measure in measures.ALL:
            self.assertTrue(measure.function.__doc__, measure.name)
            self.assertTrue(set(measure.modes) <= set(sides.MODES), measure.name)

    def test_a_measure_of_one_broker_alone_is_shown_without_the_other(self):
        results = report.Results()
        results.add("shards", sides.CACHE, "kring", {"1 shards, MB/s": 5.0})
        self.assertEqual(list(results.rows()), [("shards", sides.CACHE, "1 shards, MB/s", [], [5.0])])
        self.assertEqual((report.figure([]), report.ratio("1 shards, MB/s", [], [5.0])), ("–", "–"))


if __name__ == "__main__":
    unittest.main()
