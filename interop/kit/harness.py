"""Suites and what they report. A suite is a function of a `Context`; its cases are claims, each
passed or failed by name; what is left out is named in a checked-in list with its reason."""

import contextlib
import os
import re
import threading
import time
import traceback

from . import paths, procs, target, tools

_print_lock = threading.Lock()


class SuiteOver(Exception):
    """The suite cannot go on (broker gone, out of time): the rest of it counts as one failure."""


class Suite:
    def __init__(self, name, run, needs=(), minutes=5, about=""):
        self.name, self.run, self.needs = name, run, needs
        self.minutes, self.about = minutes, about


class Context:
    """What a suite works with. One per suite and run; everything it started ends with it."""

    def __init__(self, suite, options):
        self.suite, self.options = suite, options
        self.passed, self.failed, self.skipped = [], [], []
        self.brokers = []
        self.logs = paths.LOGS / suite.name
        self.not_yet = dict(read_list(paths.INTEROP / "not-yet.txt"))
        self.deadline = time.monotonic() + 60 * suite.minutes

    # --- brokers ---

    def broker(self, kind=None, port=0, **props):
        """A started broker of its own; property names with `__` for `.`."""
        kind = kind or self.options.target
        props = {key.replace("__", "."): str(value) for key, value in props.items()}
        common = dict(name=self.suite.name, log_dir=self.logs, props=props, port=port)
        if kind == "kafka":
            made = target.KafkaBroker(**common)
        else:
            made = target.KringBroker(self.options.kring, self.options.kring_args, **common)
        self.brokers.append(made)
        return made.start()

    def close(self):
        for broker in self.brokers:
            broker.close()

    def env(self, **more):
        return {**os.environ, **{key: str(value) for key, value in more.items()}}

    # --- cases ---

    @contextlib.contextmanager
    def case(self, name):
        """One claim. What it raises fails it; the suite goes on unless the broker is gone."""
        began = time.monotonic()
        try:
            if began > self.deadline:
                raise SuiteOver(f"out of time ({self.suite.minutes} minutes)")
            yield
        except SuiteOver:
            raise
        except Exception as error:  # whatever a claim breaks on is a failure of that claim
            self.fail(name, describe(error))
        else:
            self.ok(name, time.monotonic() - began)
        dead = [b for b in self.brokers if b.child and not b.alive() and not b.stopped_on_purpose]
        if dead:
            raise SuiteOver(f"the broker ended by itself during '{name}' "
                            f"(exit {dead[0].child.returncode}, log {dead[0].log_path})")

    def ok(self, name, seconds=None):
        self.passed.append(name)
        took = f" ({seconds:.1f} s)" if seconds is not None else ""
        self.say(f"ok      {name}{took}", quiet=not self.options.verbose)

    def fail(self, name, why):
        self.failed.append(name)
        self.say(f"FAILED  {name}: {why}")

    def skip(self, name, reason):
        """Leaves a test out by name. `not yet: X` needs X to be explained in not-yet.txt."""
        if reason.startswith("not yet: ") and reason[9:] not in self.not_yet:
            return self.fail(name, f"'{reason[9:]}' is not in interop/not-yet.txt")
        self.skipped.append(name)
        self.say(f"left out {name}: {reason}", quiet=not self.options.verbose)

    def say(self, text, quiet=False):
        line = f"  {self.suite.name}: {text}"
        self.logs.mkdir(parents=True, exist_ok=True)
        with _print_lock:
            with open(self.logs / "suite.log", "a") as log:
                log.write(line + "\n")
            if not quiet:
                print(line, flush=True)

    # --- commands ---

    def left_s(self, wanted):
        return max(1.0, min(wanted, self.deadline - time.monotonic()))

    def tool(self, broker, name, *args, stdin=None, timeout=60, code=0):
        """Runs one of Kafka's tools and expects its exit code (None: any)."""
        done = tools.run(name, args, broker.address, stdin, self.left_s(timeout))
        assert not done.timed_out, f"{name} did not end: {done}"
        assert code is None or done.code == code, f"{name}: {done}"
        return done

    def program(self, argv, timeout=240, env=None, cwd=None, prefix=""):
        """A client program that prints `ok NAME`, `not ok NAME :: WHY` and last `1..N`."""
        done = procs.run(argv, timeout=self.left_s(timeout), env=env, cwd=cwd)
        (self.logs / f"{prefix or 'program'}.out".replace("/", "-")).write_text(done.text)
        seen = 0
        for line in done.out.splitlines():
            match = re.match(r"(ok|not ok) (.+?)(?: :: (.*))?$", line)
            if not match:
                continue
            seen += 1
            name = prefix + match[2].strip()
            self.ok(name) if match[1] == "ok" else self.fail(name, match[3] or "no reason given")
        plan = re.search(r"^1\.\.(\d+)$", done.out, re.M)
        if not plan or int(plan[1]) != seen or (done.code != 0 and not self.failed):
            self.fail(prefix + "program ends by itself", str(done))


def describe(error):
    if isinstance(error, AssertionError) and str(error):
        return str(error)
    return "".join(traceback.format_exception_only(error)).strip() + " at " + \
        traceback.format_tb(error.__traceback__)[-1].strip().splitlines()[0]


def read_list(path):
    """A checked-in list: `name<TAB or two spaces>reason` per line, `#` for comments."""
    rows = []
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, rest = re.sub(r"\t|  +", "\t", line.strip(), count=1).partition("\t")
            rows.append((name, rest.strip()))
    return rows


def run_suite(suite, options):
    """Runs one suite to its end, whatever happens in it. Returns its context."""
    context = Context(suite, options)
    context.began = time.monotonic()
    try:
        for need in suite.needs:
            need()
        suite.run(context)
        if not context.passed and not context.failed and not context.skipped:
            context.fail("runs at least one case", "it ran none")
    except Exception as error:  # noqa: a suite that breaks is a failed suite, not a broken run
        context.fail("runs to its end", describe(error))
        if context.options.verbose:
            context.say(traceback.format_exc())
    finally:
        context.close()
    context.seconds = time.monotonic() - context.began
    summary(context)
    return context


def counts(passed, failed, skipped):
    text = f"{passed} passed, {failed} failed"
    return text + (f", {skipped} skipped" if skipped else "")


def summary(context):
    text = counts(len(context.passed), len(context.failed), len(context.skipped))
    where = f"; logs: {context.logs}" if context.failed else ""
    with _print_lock:
        print(f"{context.suite.name:<16} {text} ({context.seconds:.0f} s{where})", flush=True)
