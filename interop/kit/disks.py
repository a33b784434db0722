"""File systems of a suite's own, in a file on a loop device: small enough to be filled, and able to fail for good.
Needs root, as mounting does."""

import contextlib
import fcntl
import os
import struct

from . import needs, procs

# _IOR('X', 125, __u32) of Linux: every later operation of the file system fails with EIO.
SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, 2


def need_root():
    needs.programs("mkfs.ext4", "mount", "umount")
    if os.geteuid() != 0:
        raise needs.Missing("mounting a loop device takes root: run interop/run as root")


class Disk:
    """An ext4 of so many MiB, mounted at `path`."""

    def __init__(self, base, name, mib):
        self.image, self.path = base / f"{name}.img", base / name
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(mib << 20)
        must("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        self.filler = self.path / "filler"
        procs.at_end(self.unmount)
        self.mount()

    def mount(self):
        must("mount", "-o", "loop", self.image, self.path)

    def unmount(self):
        """Also while a process still has files open there; nothing is left of it when they are closed."""
        if os.path.ismount(self.path):
            must("umount", "-l", self.path)

    def free(self):
        room = os.statvfs(self.path)
        return room.f_bavail * room.f_frsize

    def fill(self, leave):
        """Takes room until no more than `leave` bytes are free."""
        with open(self.filler, "ab") as filler:
            for step in (1 << 20, 1 << 16, 1 << 12):
                while self.free() - step >= leave:
                    try:
                        os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, step)
                    except OSError:
                        break  # somebody else was faster

    def release(self):
        self.filler.unlink()

    def break_down(self):
        """From here on every read and write fails, until it is mounted anew."""
        with contextlib.closing(Folder(self.path)) as folder:
            fcntl.ioctl(folder.fd, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))

    def repair(self):
        self.unmount()
        self.mount()


class Folder:
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY)

    def close(self):
        os.close(self.fd)


def must(*argv):
    done = procs.run(argv, timeout=60)
    assert done.code == 0, str(done)
