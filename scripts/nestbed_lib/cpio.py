"""Writes initramfs archives: the `newc` format of cpio, uncompressed and the same every time.

Written here rather than by cpio(1), which needs root for device nodes and keeps the time.
"""

import stat

MAGIC = b"070701"
TRAILER = "TRAILER!!!"


class Archive:
    """An archive that grows by entries; all belong to root, at time 0."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._inode = 0

    def directory(self, name: str) -> None:
        """A directory; its parents must be there before."""
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """A regular file."""
        self._entry(name, stat.S_IFREG | mode, content)

    def character_device(self, name: str, major: int, minor: int) -> None:
        """A character device node."""
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self) -> bytes:
        """The whole archive; others may follow it directly."""
        self._inode = -1
        self._entry(TRAILER, 0)
        return bytes(self._data)

    def _entry(
        self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        path = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        self._data += MAGIC + b"".join(b"%08X" % field for field in fields) + path
        self._pad()
        self._data += content
        self._pad()

    def _pad(self) -> None:
        self._data += bytes(-len(self._data) % 4)
