"""A broker under test: Kring, or Apache Kafka as the reference. Both start in a data directory of
their own, can be killed without warning, and come back on the same address and directory."""

import os
import random
import signal
import socket
import subprocess

from . import needs, procs, wire

READY_S = 60
# What both targets get: a lone member need not wait three seconds for company.
COMMON = {"group.initial.rebalance.delay.ms": "0"}
KAFKA_ONLY = {
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}


def free_port():
    """A free port below the range that the kernel hands to outgoing connections: a client that
    reconnects to a dead broker can then never be given the broker's own port."""
    low, high = (int(x) for x in os.environ.get("INTEROP_PORTS", "22000-22999").split("-"))
    for port in random.sample(range(low, high + 1), high - low + 1):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError(f"no free port in {low}-{high}")


class Broker:
    """Common to both targets. `props` are Kafka's property names."""

    kind = "?"

    def __init__(self, name, log_dir, props=None, port=0):
        self.props = {**COMMON, **(props or {})}
        self.host, self.port = "127.0.0.1", port
        self.base = procs.temp_dir(f"kring-interop-{name}-")
        log_dir.mkdir(parents=True, exist_ok=True)
        self.log_path = log_dir / f"broker-{self.kind}-{len(list(log_dir.iterdir()))}.log"
        self.child = None
        self.stopped_on_purpose = False

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        self.stopped_on_purpose = False
        with open(self.log_path, "ab") as log:
            self.child = procs.spawn(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, cwd=self.base)
        procs.wait_until(f"{self.kind} ready (log: {self.log_path})", self._ready, READY_S)
        return self

    def _ready(self):
        if self.child.poll() is not None:
            raise RuntimeError(f"{self.kind} ended with {self.child.returncode}; log: {self.log_path}")
        return self.is_up()

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def kill9(self):
        self.stopped_on_purpose = True
        procs.reap(self.child, signal.SIGKILL)

    def stop(self):
        """A clean stop; returns the exit code."""
        self.stopped_on_purpose = True
        return procs.reap(self.child, signal.SIGTERM, 30)

    def close(self):
        if self.child is not None:
            procs.reap(self.child, signal.SIGKILL)
        procs.remove(self.base)


class KringBroker(Broker):
    kind = "kring"

    def __init__(self, binary, extra, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.binary, self.extra = binary, extra
        self.ready_file = self.base / "ready"
        self.data = self.base / "data"

    def command(self):
        self.ready_file.unlink(missing_ok=True)
        argv = [self.binary, "start", "--data-dir", self.data, "--listen",
                f"{self.host}:{self.port}", "--ready-file", self.ready_file, *self.extra]
        # as Kafka's side has it; the port is the one that is bound
        argv += ["-o", f"advertised.listeners=PLAINTEXT://{self.host}:{self.port}"]
        for key, value in self.props.items():
            argv += ["-o", f"{key}={value}"]
        return argv

    def is_up(self):
        port = parse_ready_file(self.ready_file)
        if port is None:
            return False
        self.port = port
        return wire.serves(self.host, port)


def parse_ready_file(path):
    """The port of the first line, which is `HOST:PORT` or `NAME HOST:PORT`; None until whole."""
    text = path.read_text() if path.exists() else ""
    if not text.strip():
        return None
    port = text.splitlines()[0].split()[-1].rpartition(":")[2]
    return int(port) if port.isdigit() else None


class KafkaBroker(Broker):
    kind = "kafka"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.port = self.port or free_port()
        self.controller_port = free_port()
        self.data = self.base / "data"
        self.conf = self.base / "server.properties"
        self._configure()

    def _configure(self):
        listeners = f"PLAINTEXT://{self.address},CONTROLLER://{self.host}:{self.controller_port}"
        node = self.props.get("node.id", "1")
        props = {
            "process.roles": "broker,controller", "node.id": node, "listeners": listeners,
            "controller.quorum.voters": f"{node}@{self.host}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER", "log.dirs": self.data,
            **KAFKA_ONLY, **self.props,
        }
        self.conf.write_text("".join(f"{k}={v}\n" for k, v in props.items()))
        done = procs.run(needs.java("kafka.tools.StorageTool", "format", "-t",
                                    needs.random_uuid(), "-c", self.conf))
        assert done.code == 0, f"format failed: {done}"

    def command(self):
        return ["java", "-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-Djava.awt.headless=true",
                *needs.logging("warn"), "-cp", needs.kafka_class_path(), "kafka.Kafka", self.conf]

    def is_up(self):
        return wire.serves(self.host, self.port)
