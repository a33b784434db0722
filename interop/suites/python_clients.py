"""kafka-python and confluent-kafka: programs as their users write them, and kafka-python's own
integration tests, unchanged, from its source distribution."""

import os
import re
import xml.etree.ElementTree as xml

from kit import harness, needs, paths, procs

CLIENTS = paths.INTEROP / "clients"
LEFT_OUT = paths.INTEROP / "kafka-python" / "left-out.txt"
# Two modules of its tests that the source distribution does not carry.
SERVICE = '''"""Stands for the module with which kafka-python's tests start brokers; here one is given."""


class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def stop(self):
        pass


class SpawnedService:
    pass
'''


FOLDER = "test/integration"


def run_kafka_python(ctx):
    broker = ctx.broker(num__partitions=1)
    ctx.program([paths.VENV_PYTHON, CLIENTS / "kafka_python.py", broker.address],
                prefix="")
    # node.id and the session floor are what its own fixtures configure
    broker = ctx.broker(num__partitions=4, node__id=0, group__min__session__timeout__ms=100)
    own_tests(ctx, broker)


def own_tests(ctx, broker):
    source = paths.CACHE / "kafka-python"
    (source / "test" / "__init__.py").touch()
    (source / "test" / "service.py").write_text(SERVICE)
    out = dict(harness.read_list(LEFT_OUT))
    for name, reason in out.items():
        ctx.skip(name, reason)
    env = {**os.environ, "KAFKA_VERSION": "4.3", "KAFKA_ROOT": str(source),
           "KAFKA_URI": f"kafka://{broker.address}"}
    flags = [f"--deselect={FOLDER}/{n}" if "::" in n else f"--ignore={FOLDER}/{n}" for n in out]
    results = pytest(ctx, source, env, "own-tests", [FOLDER, *flags])
    for name, (seconds, why) in results.items():
        if why:
            # Two suites share two cores: what fails beside others gets one run alone, and the log says so. Also,
            # kafka-python 3.0.12 forgets a subscription that is made between the arrival of its first metadata and its
            # look at them: it asks for no topic for five minutes, and the test reads nothing.
            ctx.say(f"again, alone: {name}: {why}")
            test = f"{FOLDER}/{name.replace('::', '.py::', 1)}"
            seconds, why = pytest(ctx, source, env, "own-tests-again", [test]).get(name, (0, "did not run"))
        if why:
            ctx.fail(f"own {name}", why)
        else:
            ctx.ok(f"own {name}", seconds)


def pytest(ctx, source, env, label, what):
    """Runs its tests; name -> (seconds, why it failed or "")."""
    report = ctx.logs / f"{label}.xml"
    report.unlink(missing_ok=True)
    done = procs.run([paths.VENV_PYTHON, "-m", "pytest", *what, "-q", "-p", "no:cacheprovider",
                      "-p", "no:logging", "-W", "ignore", "--timeout=60", f"--junitxml={report}"],
                     timeout=ctx.left_s(240), env=env, cwd=source)
    with open(ctx.logs / f"{label}.log", "a") as log:
        log.write(done.text)
    assert report.exists(), f"pytest wrote no report: {done}"
    results = {}
    for node in xml.parse(report).getroot().iter("testcase"):
        name = f"{node.get('classname').rpartition('.')[2]}::{node.get('name')}"
        bad = next((node.find(kind) for kind in ("failure", "error", "skipped")
                    if node.find(kind) is not None), None)
        why = "" if bad is None else f"{bad.tag}: " + re.sub(r"\s+", " ", bad.get("message", ""))[:400]
        results[name] = (float(node.get("time", 0)), why)
    return results


def run_confluent(ctx):
    broker = ctx.broker(num__partitions=1)
    ctx.program([paths.VENV_PYTHON, CLIENTS / "confluent.py", broker.address])


KAFKA_PYTHON = harness.Suite(
    "kafka-python", run_kafka_python, minutes=6,
    needs=(needs.kafka, needs.python_clients, needs.kafka_python_sources),
    about="kafka-python, and its own integration tests")
CONFLUENT = harness.Suite(
    "confluent-kafka", run_confluent, needs=(needs.kafka, needs.python_clients), minutes=4,
    about="confluent-kafka-python: idempotent producer, groups, admin")
