"""How a figure is taken: clocks, rates, spreads, memory and CPU of a process."""

import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LINUX = platform.system() == "Linux"


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """(result, seconds, CPU seconds of this process)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def rate(records: int, seconds: float, cpu: float) -> dict[str, float]:
    """Records a second and CPU µs a record."""
    return {
        "records": records,
        "records_per_second": round(records / seconds),
        "cpu_us_per_record": round(cpu / records * 1e6, 1),
    }


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the longest of some times, in milliseconds."""
    if not seconds:
        return {"count": 0}
    found = sorted(seconds)
    last = len(found) - 1
    return {
        "count": len(found),
        "p50_ms": round(statistics.median(found) * 1e3, 1),
        "p99_ms": round(found[min(last, round(last * 0.99 + 0.49))] * 1e3, 1),
        "max_ms": round(found[-1] * 1e3, 1),
    }


def peak_mb() -> float:
    """The most memory this process had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if LINUX else 1 << 20), 1)


def cpu_seconds(pid: int) -> float:
    """CPU seconds that a process has used, in steps of a hundredth."""
    if LINUX:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    text = _ps(pid, "time")  # minutes:seconds, hours before them where there are any
    return sum(float(part) * 60**power for power, part in enumerate(reversed(text.split(":"))))


def resident_mb(pid: int) -> float:
    """The memory (RSS) of a process, in MB."""
    if LINUX:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)
    return int(_ps(pid, "rss")) / 1024


def highest_mb(pid: int) -> float:
    """The most memory a process has had so far, in MB; what it has now, where no more is known."""
    if not LINUX:
        return round(resident_mb(pid), 1)
    text = Path(f"/proc/{pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:"))
    return round(int(kilobytes) / 1024, 1)


def _ps(pid: int, field: str) -> str:
    words = ["ps", "-o", f"{field}=", "-p", str(pid)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
