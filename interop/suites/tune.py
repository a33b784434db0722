"""`kring tune` on the host of the suite: a report that other programs read, a dry run that changes nothing, and settings
of a disk that Kring reads and that Apache Kafka is not disturbed by."""

import json
import pathlib

from kit import harness, needs, procs

SETTINGS = "kring-disk.properties"
VERDICTS = {"stops", "unsafe", "tune", "unknown", "ok", "no matter"}
RECORDS = 300


def run(ctx):
    if not ctx.options.kring.is_file():
        return ctx.skip("a host is checked", f"{ctx.options.kring} is not there, and it is what checks it")
    check(ctx)
    dry_run(ctx)
    disk(ctx)


def check(ctx):
    with ctx.case("check prints JSON whose exit code is that of the process, and no verdict but the documented ones"):
        done = tune(ctx, "check", "--json", code=None)
        report = json.loads(done.out)
        assert done.code == report["exit_code"] and done.code in (0, 1), done
        assert len(report["points"]) >= 20, done
        for point in report["points"]:
            assert point["verdict"] in VERDICTS, point
            assert (point["verdict"] in ("stops", "unsafe", "tune")) == ("by" in point), point


def dry_run(ctx):
    with ctx.case("a dry run of apply names the files that check wants set, and sets none"):
        report = json.loads(tune(ctx, "check", "--json", code=None).out)
        wanted = [setting for point in report["points"] for setting in point.get("settings", [])]
        before = [pathlib.Path(setting["path"]).read_text() for setting in wanted]
        undo = ctx.logs / "undo.sh"
        told = tune(ctx, "apply", "--dry-run", "--undo", undo, code=0).out
        assert told.count(" -> ") == len(wanted), told
        assert before == [pathlib.Path(setting["path"]).read_text() for setting in wanted], told
        assert not undo.exists()


def disk(ctx):
    broker = ctx.broker(num__partitions=1)
    with ctx.case("records before the measurement"):
        produce(ctx, broker)
    with ctx.case("a clean stop"):
        code = broker.stop()
        assert code in (0, 143), f"exit code {code}"
    with ctx.case("disk measures, prints JSON, and leaves its settings and nothing else"):
        before = {path.name for path in broker.data.iterdir()}
        done = tune(ctx, "disk", broker.data, "--seconds", 2, "--space", 64, "--json", code=0)
        measured = json.loads(done.out)
        assert all(row["operations"] > 0 for rows in measured.values() if isinstance(rows, list) for row in rows), done
        after = {path.name for path in broker.data.iterdir()}
        assert after - before <= {SETTINGS, ".lock"} and SETTINGS in after, after
    settings = (broker.data / SETTINGS).read_bytes()
    with ctx.case("the broker starts beside the settings, serves what it had, and takes more"):
        broker.start()
        assert consumed(ctx, broker, RECORDS)
        produce(ctx, broker)
        assert consumed(ctx, broker, 2 * RECORDS)
        assert (broker.data / SETTINGS).read_bytes() == settings
    if ctx.options.target == "kring":
        with ctx.case("Kring's log says what it read"):
            log = broker.log_path.read_text(errors="replace")
            assert "disk settings read" in log, log
        with ctx.case("a directory in use is not measured"):
            done = tune(ctx, "disk", broker.data, "--seconds", 1, code=2)
            assert "stop it first" in done.text, done


def tune(ctx, *words, code):
    done = procs.run([ctx.options.kring, "tune", *map(str, words)], timeout=120)
    assert code is None or done.code == code, done
    return done


def produce(ctx, broker):
    ctx.tool(broker, "kafka-console-producer", "--topic", "measured", "--producer-property", "acks=all",
             stdin="".join(f"{n}\n" for n in range(RECORDS)))


def consumed(ctx, broker, count):
    """Whether these numbers are there, and no more."""
    done = ctx.tool(broker, "kafka-console-consumer", "--topic", "measured", "--from-beginning",
                    "--max-messages", count, "--timeout-ms", 50000)
    ends = ctx.tool(broker, "kafka-get-offsets", "--topic", "measured").out
    return sum(line.isdigit() for line in done.out.splitlines()) == count and ends.strip() == f"measured:0:{count}"


SUITE = harness.Suite("tune", run, needs=(needs.kafka,), minutes=5,
                      about="kring tune check, apply --dry-run and disk")
