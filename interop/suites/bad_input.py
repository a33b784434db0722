"""What no client would send, over plain sockets: the connection pays, the broker and its other
clients do not."""

import os
import socket
import struct

from kit import harness, needs, wire


def run(ctx):
    broker = ctx.broker()
    b = Peer(ctx, broker)
    for part in (lengths, versions, garbage, halves, floods):
        part(ctx, b)
    with ctx.case("after all of it the broker serves a client"):
        ctx.tool(broker, "kafka-topics", "--create", "--topic", "still-here")
        assert "still-here" in ctx.tool(broker, "kafka-topics", "--list").out


class Peer:
    def __init__(self, ctx, broker):
        self.ctx, self.broker = ctx, broker

    def connect(self):
        return wire.connect(self.broker.host, self.broker.port)

    def closed_after(self, data):
        """Sends `data` and expects to be hung up on, without an answer."""
        with self.connect() as sock:
            try:
                sock.sendall(data)
                got = wire.read_exact(sock, 1)
            except (BrokenPipeError, ConnectionResetError):
                got = b""
            except socket.timeout:
                raise AssertionError("the connection stayed open for 10 s") from None
        assert got == b"", f"an answer instead of a close: {got!r}"

    def serves(self):
        """A client beside the broken one is served at once."""
        assert wire.broker_count(self.broker.host, self.broker.port) == 1


def lengths(ctx, b):
    for name, length in (("negative", -1), ("smallest", -2**31), ("zero", 0), ("too small", 3),
                         ("just above socket.request.max.bytes", 104857601),
                         ("huge", 2**31 - 1)):
        with ctx.case(f"a frame length that is {name} closes the connection"):
            b.closed_after(struct.pack(">i", length) + b"\0" * 16)
            b.serves()


def versions(ctx, b):
    with ctx.case("ApiVersions in an unknown version is answered in v0 with error 35 and the list"):
        with b.connect() as sock:
            # request header v2: client id, then tagged fields; the body is unknowable
            body = struct.pack(">hhi", wire.API_VERSIONS, 99, 4711) + wire.string("x") + b"\0\0\0\0"
            sock.sendall(struct.pack(">i", len(body)) + body)
            rows = wire.parse_api_versions_v0(wire.read_frame(sock), 4711, expect_error=35)
            assert rows[wire.API_VERSIONS][0] == 0 and rows[wire.API_VERSIONS][1] >= 4, rows
            # and the connection goes on
            sock.sendall(wire.request(wire.API_VERSIONS, 0, 4712))
            wire.parse_api_versions_v0(wire.read_frame(sock), 4712)
    with ctx.case("Produce is listed from version 0, or librdkafka would not compress"):
        rows = wire.api_versions(b.broker.host, b.broker.port)
        assert rows[0] == (0, 13), rows[0]
    for name, key, version in (("an unknown version of Metadata", wire.METADATA, 99),
                               ("a negative version", wire.METADATA, -1),
                               ("an unknown API key", 9999, 0), ("a negative API key", -1, 0)):
        with ctx.case(f"{name} closes the connection"):
            b.closed_after(wire.request(key, version, 1, b"\0" * 8))
            b.serves()


def garbage(ctx, b):
    with ctx.case("an HTTP request closes the connection"):
        b.closed_after(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with ctx.case("a TLS hello closes the connection"):
        b.closed_after(bytes.fromhex("16030100c8010000c40303") + os.urandom(193))
    with ctx.case("a frame of noise closes the connection"):
        for size in (8, 64, 1024):
            noise = b"\x7f\xff" + os.urandom(size - 2)
            b.closed_after(struct.pack(">i", size) + noise)
        b.serves()
    with ctx.case("a request body that ends too early closes the connection"):
        b.closed_after(wire.request(wire.METADATA, 1, 1, b"\0\0"))
        b.serves()
    with ctx.case("an array longer than the request closes the connection"):
        b.closed_after(wire.request(wire.METADATA, 1, 1, struct.pack(">i", 2**31 - 1)))
        b.serves()
    with ctx.case("a string longer than the request closes the connection"):
        b.closed_after(wire.request(wire.METADATA, 1, 1, struct.pack(">ih", 1, 32767)))
        b.serves()


def halves(ctx, b):
    with ctx.case("half a frame, then close: nobody else notices"):
        whole = wire.request(wire.METADATA, 1, 1, struct.pack(">i", 0))
        for cut in (1, 3, 4, 5, 11, len(whole) - 1):
            with b.connect() as sock:
                sock.sendall(whole[:cut])
        b.serves()
    with ctx.case("a frame in single bytes is answered"):
        with b.connect() as sock:
            for byte in wire.request(wire.API_VERSIONS, 0, 5):
                sock.sendall(bytes([byte]))
            wire.parse_api_versions_v0(wire.read_frame(sock), 5)
    with ctx.case("a hundred requests in one write are answered in order"):
        with b.connect() as sock:
            sock.sendall(b"".join(wire.request(wire.API_VERSIONS, 0, i) for i in range(100)))
            for i in range(100):
                wire.parse_api_versions_v0(wire.read_frame(sock), i)


def floods(ctx, b):
    if b.broker.kind == "kafka":
        return ctx.skip("memory by a claimed length", "Apache Kafka allocates what a length claims")
    with ctx.case("two hundred connections that promise a large frame and send none of it"):
        socks = [b.connect() for _ in range(200)]
        try:
            for sock in socks:
                sock.sendall(struct.pack(">i", 100_000_000))
            b.serves()
            assert resident_mib(b.broker.child.pid) < 1500, "memory by a claimed length"
        finally:
            for sock in socks:
                sock.close()
        b.serves()


def resident_mib(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 2**20


SUITE = harness.Suite("bad-input", run, needs=(needs.kafka,), minutes=2,
                      about="broken frames, unknown versions, noise, over plain sockets")
