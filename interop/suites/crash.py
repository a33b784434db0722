"""kill -9 at random moments under acks=all load from an idempotent client. After each restart, on
the same port and directory: nothing acknowledged is lost, order is kept, nothing is doubled, and
committed offsets are there. Each target in its own default durability, and Kring also in Apache
Kafka's, where a record outlives the process and not more."""

import random
import subprocess
import time

from kit import harness, needs, paths, procs, target

PARTITIONS, RATE = 3, 6000
NO_FLUSH = {"log__flush__interval__messages": 2**63 - 1}
# Each: what it is called, how many kills, settings.
MODES = {
    "kring": [("flushed", 20, {}), ("page cache", 15, NO_FLUSH)],
    "kafka": [("page cache", 2, {})],
}


class Load:
    """The client program that keeps its broker busy; see clients/crash_load.py."""

    def __init__(self, ctx, broker):
        self.ctx = ctx
        with open(ctx.logs / "load.err", "wb") as err:
            self.child = procs.spawn(
                [paths.VENV_PYTHON, paths.INTEROP / "clients" / "crash_load.py", broker.address,
                 "crash", PARTITIONS, RATE],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True)

    def ask(self, command):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline().strip()
        assert answer, f"the load program ended; see {self.ctx.logs}/load.err"
        return answer

    def acked(self):
        _, records, commits = self.ask("acked").split()
        return int(records), int(commits)

    def wait_for_progress(self, since, what):
        def grown():
            now = self.acked()
            return now[0] >= since[0] + 200 and now[1] > since[1]
        procs.wait_until(what, grown, 60)


def run(ctx):
    for mode, rounds, settings in MODES[ctx.options.target]:
        kill_again_and_again(ctx, mode, ctx.options.rounds or rounds, settings)
        if ctx.failed:
            return


def kill_again_and_again(ctx, mode, rounds, settings):
    seed = random.randrange(1 << 32)
    moments = random.Random(seed)
    ctx.say(f"{mode}: {rounds} kills, seed {seed}", quiet=True)
    broker = ctx.broker(port=target.free_port(), num__partitions=PARTITIONS, **settings)
    ctx.tool(broker, "kafka-topics", "--create", "--topic", "crash", "--partitions", PARTITIONS)
    load = Load(ctx, broker)
    try:
        load.wait_for_progress((0, 0), "the first records")
        for number in range(1, rounds + 1):
            with ctx.case(f"{mode}: kill {number}"):
                one_round(load, broker, moments.uniform(0, 0.8))
            if ctx.failed:
                return  # what follows would only repeat it
        with ctx.case(f"{mode}: everything sent is in the log once and in order, read again from the start"):
            answer = load.ask("finish")
            assert answer.startswith("right "), answer
            ctx.say(f"{answer.split()[1]} records, {answer.split()[2]} commits", quiet=True)
        with ctx.case(f"{mode}: a clean stop, and a start that finds it all again"):
            code = broker.stop()
            assert code in (0, 143), f"exit code {code}"
            broker.start()
            done = ctx.tool(broker, "kafka-get-offsets", "--topic", "crash")
            assert sum(int(x.split(":")[2]) for x in done.out.split()) == int(answer.split()[1])
            broker.stop()
    finally:
        procs.reap(load.child)


def one_round(load, broker, moment_s):
    time.sleep(moment_s)  # a random moment, not a wait for anything
    broker.kill9()
    before = load.acked()
    broker.start()
    load.wait_for_progress(before, "acknowledgements after the restart")
    answer = load.ask("verify")
    assert answer.startswith("right "), answer


SUITE = harness.Suite("crash", run, needs=(needs.kafka, needs.python_clients), minutes=6,
                      about="kill -9 at random moments under acks=all load")
