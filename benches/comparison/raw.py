"""What the disk takes without a broker: threads that append to a file each by O_DIRECT, every piece durable before the
next one. Never goes through the page cache."""

import mmap
import os
import pathlib
import tempfile
import threading
import time


def megabytes_per_s(folder, files, piece, seconds):
    """Of all files together. `folder` is on the disk in question; what is written there is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="raw-", dir=folder) as place:
        written = [0] * files
        began = time.monotonic()
        end = began + seconds

        def append(number):
            written[number] = append_until(pathlib.Path(place, str(number)), piece, end)

        threads = [threading.Thread(target=append, args=[number]) for number in range(files)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(written) / 1e6 / (time.monotonic() - began)


def append_until(path, piece, end):
    """Bytes that were durable; a file begins anew at 1 GiB, so that the disk does not fill."""
    memory = mmap.mmap(-1, piece)
    memory.write(os.urandom(piece))
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    try:
        done = 0
        while time.monotonic() < end:
            if done % (1 << 30) == 0:
                os.ftruncate(handle, 0)
            done += os.pwritev(handle, [memory], done % (1 << 30), os.RWF_DSYNC)
        return done
    finally:
        os.close(handle)
