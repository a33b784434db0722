"""What came out: medians with their spread, ratios, a page of Markdown, plots as SVG, all of it as JSON."""

import contextlib
import html
import json
import math
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import time

from . import measures, sides

COLOURS = {"kafka": "#8a8f98", "kring": "#2f7ed8"}
# Of these more is better; of the rest, less.
MORE = ("MB/s", "per s", "broker core", "per broker core")


class Results:
    """(measure, mode, broker) -> figure -> the value of each round."""

    def __init__(self):
        self.rounds, self.failures = {}, []

    @contextlib.contextmanager
    def part(self, measure, mode, kind):
        """What breaks in here is a failure of this measure on this broker; the comparison goes on, and fails."""
        try:
            yield
        except Exception as error:  # noqa: whatever a broker or a client breaks on
            self.failures.append(f"{measure}, {mode}, {kind}: {type(error).__name__}: {error}")
            print(f"FAILED: {self.failures[-1]}", flush=True)

    def add(self, measure, mode, kind, found):
        wrong = {name: value for name, value in found.items() if not (math.isfinite(value) and value >= 0)}
        assert found and not wrong, f"these are no figures: {wrong}"
        figures = self.rounds.setdefault((measure, mode, kind), {})
        for name, value in found.items():
            figures.setdefault(name, []).append(value)

    def slowest(self, measure, mode, figure):
        """The smaller median of the two brokers, if both were measured."""
        medians = [statistics.median(self.rounds.get((measure, mode, kind), {}).get(figure, [0]))
                   for kind in sides.KINDS]
        return min(medians) or None

    def rows(self):
        """(measure, mode, figure, Kafka's values, Kring's values); no values where there is nothing of a broker."""
        for measure, mode in dict.fromkeys((measure, mode) for measure, mode, _ in self.rounds):
            kafka, kring = (self.rounds.get((measure, mode, kind), {}) for kind in sides.KINDS)
            for name in dict.fromkeys([*kafka, *kring]):
                yield measure, mode, name, kafka.get(name, []), kring.get(name, [])

    def to_json(self):
        return [{"measure": measure, "mode": mode, "broker": kind, "figures": figures}
                for (measure, mode, kind), figures in self.rounds.items()]


def write(out, results, options, seconds):
    machine = about(options)
    rows = list(results.rows())
    names = plots(out, rows)
    (out / "report.json").write_text(json.dumps(
        {"machine": machine, "results": results.to_json(), "failures": results.failures}, indent=1) + "\n")
    (out / "report.md").write_text(page(rows, names, machine, results.failures, options, seconds))


def about(options):
    """What a reader has to know about where the figures come from."""
    where = options.dir or pathlib.Path(os.environ.get("TMPDIR", "/tmp"))
    return {
        "CPU": first_line("/proc/cpuinfo", "model name") + f", {os.cpu_count()} CPUs",
        "memory": f"{int(first_line('/proc/meminfo', 'MemTotal').split()[0]) >> 20} GiB",
        "kernel": platform.release(),
        "data directories": " ".join(output(["findmnt", "-no", "FSTYPE,OPTIONS", "-T", str(where)]).split()),
        "Kring": output([str(options.kring), "--version"]),
        "Apache Kafka": "4.3.1, heap of 1 GiB and the collector's settings of its start script",
        "Java": output(["java", "-version"]).splitlines()[0],
        "pinned": f"brokers {options.broker_cpus or 'nowhere'}, clients {options.client_cpus or 'nowhere'}",
        "rounds": str(options.rounds),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def first_line(path, name):
    lines = pathlib.Path(path).read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "unknown")


def output(argv):
    if shutil.which(argv[0]) is None:
        return "unknown"
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() or "unknown"


def figure(values):
    """The median, and how far the rounds are apart."""
    if not values:
        return "–"
    low, middle, high = min(values), statistics.median(values), max(values)
    return digits(middle) if len(values) == 1 else f"{digits(middle)} ({digits(low)} to {digits(high)})"


def digits(value):
    """Three of them that mean something."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(name, kafka, kring):
    """How many times better Kring is, below 1 how much worse."""
    if not kafka or not kring:
        return "–"
    kafka, kring = statistics.median(kafka), statistics.median(kring)
    better, worse = (kring, kafka) if name.endswith(MORE) else (kafka, kring)
    return f"{digits(better / worse)} ×" if worse else "–"


def page(rows, plot_names, machine, failures, options, seconds):
    lines = ["# Kring beside Apache Kafka 4.3.1", ""]
    if options.short:
        lines += ["**A short run: it shows that the comparison works, and nothing about speed.**", ""]
    lines += [f"**Failed:** {failure.splitlines()[0]}\n" for failure in failures]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in machine.items()), ""]
    lines += ["The brokers took turns, each in a new data directory. A figure is the median of the rounds, with the "
              "smallest and the largest beside it; the last column says how many times better Kring's is. CPU is that "
              "of the broker's process. *Page cache*: acks=all is answered when the operating system has the records, "
              "Kafka's default. *Flushed*: when they are on the disk, Kring's default. *Defaults*: each by its own.", ""]
    for measure, mode in dict.fromkeys((row[0], row[1]) for row in rows):
        what = next(m.function.__doc__ for m in measures.ALL if m.name == measure)
        lines += [f"## {measure}, {mode}", "", " ".join(what.split()), "",
                  "| | Apache Kafka | Kring | |", "|---|---|---|---|"]
        lines += [f"| {name} | {figure(kafka)} | {figure(kring)} | {ratio(name, kafka, kring)} |"
                  for m, o, name, kafka, kring in rows if (m, o) == (measure, mode)]
        lines += ["", f"![{measure}, {mode}]({plot_names[(measure, mode)]})", ""]
    lines += [f"Made by `benches/compare` in {seconds / 60:.0f} minutes; `report.json` holds every round.", ""]
    return "\n".join(lines)


def plots(out, rows):
    """One for each measure and mode; returns their names."""
    names = {}
    for key in dict.fromkeys((row[0], row[1]) for row in rows):
        name = "-".join(f"{key[0]} {key[1]}".split()) + ".svg"
        (out / name).write_text(bars([row for row in rows if (row[0], row[1]) == key]))
        names[key] = name
    return names


ROW, LEFT, WIDTH = 44, 290, 760


def bars(rows):
    """Two bars a figure, each as long as its part of the larger median, with the spread as a line."""
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {ROW * len(rows) + 30}" '
             'font-family="system-ui, sans-serif" font-size="13">',
             f'<rect width="{WIDTH}" height="{ROW * len(rows) + 30}" fill="#fff"/>']
    for x, kind, label in ((LEFT, "kafka", "Apache Kafka"), (LEFT + 130, "kring", "Kring")):
        parts.append(f'<rect x="{x}" y="8" width="12" height="12" fill="{COLOURS[kind]}"/>'
                     f'<text x="{x + 18}" y="19">{label}</text>')
    for number, (_, _, name, kafka, kring) in enumerate(rows):
        top = 30 + ROW * number
        parts.append(f'<text x="{LEFT - 10}" y="{top + 21}" text-anchor="end">{html.escape(name)}</text>')
        longest = max([*kafka, *kring]) or 1
        for y, kind, values in ((top + 2, "kafka", kafka), (top + 19, "kring", kring)):
            parts += [bar(y, COLOURS[kind], values, longest)] if values else []
    return "\n".join([*parts, "</svg>"]) + "\n"


def bar(y, colour, values, longest):
    scale = (WIDTH - LEFT - 80) / longest
    middle, low, high = statistics.median(values) * scale, min(values) * scale, max(values) * scale
    return (f'<rect x="{LEFT}" y="{y}" width="{max(middle, 1):.1f}" height="15" fill="{colour}"/>'
            f'<line x1="{LEFT + low:.1f}" x2="{LEFT + high:.1f}" y1="{y + 7.5}" y2="{y + 7.5}" stroke="#222"/>'
            f'<text x="{LEFT + max(middle, high) + 6:.1f}" y="{y + 12}">{digits(statistics.median(values))}</text>')
