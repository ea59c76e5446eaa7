"""What a run prints: a summary, and for each violation the history of its job."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

from checker import Violation
from evidence import Evidence


def summary(
    database: str, evidence: Evidence, faults: dict[str, int], violations: list[Violation], normal: float | None
) -> str:
    """A few lines: jobs, faults by kind, violations, time to normal."""
    states = Counter(row.status for row in evidence.rows.values())
    attempts = sum(line["what"] == "begin" for line in evidence.jobs)
    crashes = sum(row.crashes for row in evidence.rows.values())
    told = Counter(line["what"] for line in evidence.enqueuers)
    ended = [line for line in evidence.faults if line["what"] == "death" and "exit code" in line["how"]]
    kinds = Counter(re.sub(r"[\d.]+", "N", violation.words.partition(":")[0]) for violation in violations)
    lines = [
        f"{len(evidence.rows)} jobs ({counts(states)}), {attempts} attempts, {crashes} crash recoveries",
        f"{len(ended)} workers ended themselves, cut off from the database or too late with their heartbeats",
        f"enqueued: {counts(told)}",
        f"{sum(faults.values())} faults: {counts(Counter(faults))}",
        "not drained in time" if normal is None else f"all had ended {normal:.1f} s after the last fault",
        f"{len(violations)} violations" + (f": {counts(kinds)}" if kinds else ""),
    ]
    return "\n".join(f"{database}: {line}" for line in lines)


def counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counter.most_common())


def history(violation: Violation, evidence: Evidence, folder: Path) -> str:
    """All that is known of the job of a violation: its row, what the journals and the log files say."""
    lines = [f"VIOLATION {violation.words} (job {violation.job})"]
    if violation.job is None:
        return lines[0]
    row = evidence.rows.get(violation.job)
    lines.append(f"  row: {row}")
    told = [line for line in evidence.jobs + evidence.enqueuers if line.get("job") == violation.job]
    told = [line for line in told if line["what"] != "beat"]
    if told:
        first, last = min(line["at"] for line in told), max(line["at"] for line in told)
        told += [line for line in evidence.faults if first - 20 < line["at"] < last + 1]
    for line in sorted(told, key=lambda line: line["at"]):
        facts = " ".join(f"{key}={value}" for key, value in line.items() if key not in ("at", "wall", "job"))
        lines.append(f"  {line['at']:.3f} {time.strftime('%H:%M:%S', time.gmtime(line['wall']))} {facts}")
    for path in sorted(folder.glob("*/logs/*")):
        found = [text for text in path.read_text(errors="replace").splitlines() if violation.job in text]
        lines += [f"  {path.name}: {text}" for text in found[:20]]
    return "\n".join(lines)
