"""Whether a file lies on this machine: SQLite's WAL mode needs shared memory and real locks.

Law: a file system that is known to be a network's is refused; the type of the mount that
holds the file decides.
"""

import re
import subprocess
import sys
from pathlib import Path

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|afpfs|webdav|9p|ncpfs|afs|ceph|glusterfs|lustre|beegfs|gpfs|ocfs2|gfs2?"
    r"|fuse\.(sshfs|s3fs|rclone|glusterfs|ceph\w*|davfs2?|gcsfuse|goofys|mfs)"
)


def network_file_system(path: Path) -> str:
    """The type of the network file system that holds the path; empty where there is none."""
    place = path.resolve()
    held, kind = Path("/"), ""
    for mount, found in _mounts():
        if place.is_relative_to(mount) and len(mount.parts) >= len(held.parts):
            held, kind = mount, found
    return kind if _NETWORK.fullmatch(kind) else ""


def _mounts() -> list[tuple[Path, str]]:
    """Mount points with the type of their file system, in the order they were mounted."""
    if sys.platform == "darwin":
        text = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
        lines = re.findall(r" on (.+) \((\w+)", text)
        return [(Path(mount), kind) for mount, kind in lines]
    try:
        text = Path("/proc/self/mounts").read_text("utf-8", "replace")
    except OSError:
        return []
    fields = [line.split(" ") for line in text.splitlines()]
    return [(Path(_unescaped(one[1])), one[2]) for one in fields if len(one) > 2]


def _unescaped(text: str) -> str:
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), text)
