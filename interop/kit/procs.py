"""Child processes. Each gets its own process group, is known here by its id, and none survives
the run: whatever ends the runner (return, error, SIGINT, SIGTERM) ends in `kill_all`."""

import atexit
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from .polling import until as wait_until  # noqa: F401  (part of what this module offers)

_lock = threading.Lock()
_live = {}
_temp_dirs = set()
_cleanups = []


def spawn(argv, **kwargs):
    """Starts a child in a process group of its own and remembers it."""
    with _lock:
        child = subprocess.Popen([str(a) for a in argv], start_new_session=True, **kwargs)
        _live[child.pid] = child
    return child


def reap(child, sig=signal.SIGKILL, grace_s=15):
    """Ends one child (and its group) and waits until it is gone. Returns its exit code."""
    _signal_group(child, sig)
    try:
        child.wait(grace_s)
    except subprocess.TimeoutExpired:
        _signal_group(child, signal.SIGKILL)
        child.wait()
    forget(child)
    return child.returncode


def forget(child):
    with _lock:
        _live.pop(child.pid, None)


def kill_all():
    with _lock:
        children = list(_live.values())
        _live.clear()
    for child in children:
        _signal_group(child, signal.SIGKILL)
    for child in children:
        child.wait()
    while _cleanups:
        _cleanups.pop()()
    for path in list(_temp_dirs):
        remove(path)


def at_end(cleanup):
    """Runs when all children are gone, however the run ends, before its folders are removed."""
    _cleanups.append(cleanup)


def temp_dir(prefix):
    path = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    _temp_dirs.add(path)
    return path


def remove(path):
    shutil.rmtree(path, ignore_errors=True)
    _temp_dirs.discard(path)


def _signal_group(child, sig):
    # A child that was not waited for still owns its id, so the group id cannot be another's.
    if child.returncode is None:
        try:
            os.killpg(child.pid, sig)
        except ProcessLookupError:
            pass


class Result:
    """What a command did: exit code, both streams, wall time."""

    def __init__(self, argv, code, out, err, seconds, timed_out=False):
        self.argv, self.code, self.out, self.err = argv, code, out, err
        self.seconds, self.timed_out = seconds, timed_out

    @property
    def text(self):
        return self.out + self.err

    def __str__(self):
        why = "timed out" if self.timed_out else f"exit {self.code}"
        return f"{' '.join(self.argv)[-300:]}\n[{why}]\n{self.out[-3000:]}\n{self.err[-3000:]}"


def run(argv, stdin=None, timeout=60, env=None, cwd=None):
    """Runs a command to its end, or kills it at the timeout. Text in, text out."""
    argv = [str(a) for a in argv]
    began = time.monotonic()
    child = spawn(argv, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=cwd)
    data = stdin.encode() if isinstance(stdin, str) else stdin
    timed_out = False
    try:
        out, err = child.communicate(data, timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        _signal_group(child, signal.SIGKILL)
        out, err = child.communicate()
    forget(child)
    return Result(argv, child.returncode, out.decode(errors="replace"),
                  err.decode(errors="replace"), time.monotonic() - began, timed_out)


def install_handlers():
    atexit.register(kill_all)

    def stop(sig, _frame):
        kill_all()
        sys.stderr.write(f"interop: stopped by signal {sig}\n")
        os._exit(128 + sig)

    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, stop)
