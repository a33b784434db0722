"""Waiting for something outside this process, with a deadline and a name for what did not come."""

import time


def until(what, probe, timeout=30):
    """Polls until `probe` gives something true; fails by name at the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        got = probe()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)
