"""The same commands with Kafka's own tools against Apache Kafka and against Kring: what they print
may differ in ids and times, and where interop/transcript/differences.txt says why."""

import concurrent.futures
import difflib
import re
import shlex

from kit import harness, needs, paths, tools

FOLDER = paths.INTEROP / "transcript"
# What differs between any two brokers, or any two runs of one.
NOISE = (
    (re.compile(r"TopicId: [\w-]{22}"), "TopicId: ID"),
    (re.compile(r"CreateTime:\s*\d{13}"), "CreateTime:TIME"),
    (re.compile(r"(\w+-consumer|consumer-\S+?)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), r"\1-ID"),
    (re.compile(r"(Cluster ID: )[\w-]{22}"), r"\1ID"),
    (re.compile(r'"size":[1-9]\d*'), '"size":N'),
    (re.compile(r"(producerId: )\d+"), r"\1N"),
    (re.compile(r"(CRC|crc): \d+"), r"\1: N"),
    # the timestamps of the records differ by a varint of one byte or two
    (re.compile(r"size: \d+ magic"), "size: N magic"),
    (re.compile(r"console-consumer-\d+"), "console-consumer-N"),
    (re.compile(r"\[\d{4}-\d\d-\d\d [\d:,]+\]"), "[TIME]"),
)


class Command:
    def __init__(self, line, stdin, file_text, flags):
        self.line, self.stdin, self.file_text, self.flags = line, stdin, file_text, flags


def parse(text):
    """The commands of a transcript; see the head of commands.txt."""
    commands, files, flags = [], [], set()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "$":
            commands.append(Command(rest, [], "\n".join(files), flags))
            files, flags = [], set()
        elif kind == "<":
            commands[-1].stdin.append(rest + "\n")
        elif kind == "|":
            files.append(rest)
        elif kind == "@":
            flags.add(rest)
    return commands


class Side:
    """One broker and how its answers are made comparable."""

    def __init__(self, ctx, broker):
        self.ctx, self.broker = ctx, broker

    def run(self, command):
        file = self.broker.base / "input"
        file.write_text(command.file_text)
        line = command.line.replace("{DATA}", str(self.broker.data)).replace("{FILE}", str(file))
        tool, *args = shlex.split(line)
        done = tools.run(tool, args, self.broker.address, "".join(command.stdin) or None,
                         self.ctx.left_s(60))
        lines = self.clean(done.out) + [f"! {x}" for x in self.clean(done.err)]
        if "sorted" in command.flags:
            lines.sort()
        return [*lines, "(timed out)" if done.timed_out else f"(exit {done.code})"]

    def clean(self, text):
        for what, name in ((str(self.broker.base), "DIR"), (self.broker.address, "HOST:PORT"),
                           (str(self.broker.port), "PORT")):
            text = text.replace(what, name)
        for pattern, name in NOISE:
            text = pattern.sub(name, text)
        lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
        # the frames of a stack trace are the tool's own lines
        return [x for x in lines if x and not re.match(r"at [\w.$/]+\(|\.\.\. \d+ more", x)]


class Differences:
    """The checked-in list, and which of its entries were needed."""

    def __init__(self, text):
        rows = [x.split("\t") for x in text.splitlines() if x and not x.startswith("#")]
        self.rows = [(re.compile(c), re.compile(line), reason) for c, line, reason in rows]
        self.used = set()

    def unexplained(self, command, changed):
        left = []
        for mark_and_line in changed:
            hits = [i for i, (c, line, _) in enumerate(self.rows)
                    if c.search(command) and line.search(mark_and_line[2:])]
            self.used |= set(hits)
            if not hits:
                left.append(mark_and_line)
        return left

    def stale(self):
        return [row[1].pattern for i, row in enumerate(self.rows) if i not in self.used]


def run(ctx):
    """With Apache Kafka as target, it is compared with itself: the check that only noise differs."""
    commands = parse((FOLDER / "commands.txt").read_text())
    listed = Differences((FOLDER / "differences.txt").read_text())
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        brokers = list(pool.map(lambda kind: ctx.broker(kind), ("kafka", ctx.options.target)))
        sides = [Side(ctx, broker) for broker in brokers]
        ctx.logs.mkdir(parents=True, exist_ok=True)
        with open(ctx.logs / "transcript.txt", "w") as log:
            for number, command in enumerate(commands, 1):
                with ctx.case(f"{number:02} {command.line}"):
                    wanted, got = pool.map(lambda side: side.run(command), sides)
                    compare(command, wanted, got, listed, log)
    if ctx.options.target == "kring":
        with ctx.case("every listed difference is still there"):
            assert not listed.stale(), f"not needed any more: {listed.stale()}"


def compare(command, wanted, got, listed, log):
    log.write(f"$ {command.line}\n" + "".join(f"{x}\n" for x in wanted))
    changed = [x for x in difflib.ndiff(wanted, got) if x[0] in "+-"]
    log.write("".join(f"    {x}\n" for x in changed))
    left = listed.unexplained(command.line, changed)
    assert not left, "\n      " + "\n      ".join(left[:40])


SUITE = harness.Suite("transcript", run, needs=(needs.kafka,), minutes=6,
                      about="the same commands against Apache Kafka and the target")
