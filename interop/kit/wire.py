"""Just enough of Kafka's protocol over a plain socket to ask a broker whether it serves, and to
send it what no client would. Frames are `i32 length`, then `i16 key, i16 version, i32 id`."""

import socket
import struct

API_VERSIONS, METADATA = 18, 3


def connect(host, port, timeout=10):
    sock = socket.create_connection((host, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def request(key, version, correlation_id, body=b"", client_id="interop"):
    """A frame with request header v1 (non-flexible requests)."""
    payload = struct.pack(">hhi", key, version, correlation_id) + string(client_id) + body
    return struct.pack(">i", len(payload)) + payload


def read_exact(sock, count):
    """`count` bytes, or what came before the peer closed."""
    data = b""
    while len(data) < count:
        try:
            chunk = sock.recv(count - len(data))
        except ConnectionResetError:
            break
        if not chunk:
            break
        data += chunk
    return data


def read_frame(sock):
    """One response frame without its length, or None when the peer closed."""
    head = read_exact(sock, 4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">i", head)
    body = read_exact(sock, length)
    return body if len(body) == length else None


def api_versions(host, port, timeout=10):
    """ApiVersions v0: {key: (min, max)}."""
    with connect(host, port, timeout) as sock:
        sock.sendall(request(API_VERSIONS, 0, 7))
        return parse_api_versions_v0(read_frame(sock), 7)


def parse_api_versions_v0(frame, correlation_id, expect_error=0):
    assert frame is not None, "connection closed instead of an ApiVersions answer"
    got_id, error, count = struct.unpack_from(">ihi", frame)
    assert got_id == correlation_id, f"correlation id {got_id}, sent {correlation_id}"
    assert error == expect_error, f"error {error}, expected {expect_error}"
    rows = [struct.unpack_from(">hhh", frame, 10 + 6 * i) for i in range(count)]
    return {key: (low, high) for key, low, high in rows}


def broker_count(host, port, timeout=10):
    """How many brokers Metadata v1 lists (0 while a Kafka broker is still fenced)."""
    with connect(host, port, timeout) as sock:
        sock.sendall(request(METADATA, 1, 8, struct.pack(">i", 0)))
        frame = read_frame(sock)
        return struct.unpack_from(">i", frame, 4)[0] if frame and len(frame) >= 8 else 0


def serves(host, port):
    try:
        return broker_count(host, port, 2) > 0
    except OSError:
        return False
