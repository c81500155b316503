"""How long a manifest takes, read and previewed: ``python -m tests.benchmarks.manifests``.

Two hundred of the kind that charts make, on the host that is assumed; and what was found in them, so that a change that
finds more or less is seen. Processor time, as the machine may be busy.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter, defaultdict

from mntscope.analysis.preview.preview import preview
from mntscope.parse.manifests.containers import Kind
from mntscope.parse.manifests.read import read_manifest
from tests.support.manifests import Made, manifests


def main() -> int:
    """Measures, and prints a line for each language."""
    made = list(manifests())
    # The grammar of a shell's words is loaded once, by whoever needs it first.
    first = took(Made("", "-", b"docker run x", (), frozenset()))
    read: defaultdict[Kind, list[float]] = defaultdict(list)
    played: defaultdict[Kind, list[float]] = defaultdict(list)
    found: Counter[str] = Counter()
    failed: list[str] = []
    for each in made:
        manifest = read_manifest(each.data, each.file)
        kind = manifest.containers[0].kind
        read[kind].append(took(each))
        begun = time.process_time()
        try:
            found.update(finding.kind for finding in preview(None, [manifest]).findings)
        except Exception as error:  # noqa: BLE001 - to be counted
            failed.append(f"{each.name}: {error!r}")
            continue
        played[kind].append(time.process_time() - begun)
    sys.stdout.write(f"{'':12}  manifests  ms to read  ms to preview\n")
    for kind in sorted(read):
        previewed = f"{1000 * statistics.median(played[kind]):13.1f}" if played[kind] else ""
        sys.stdout.write(f"{kind:12}  {len(read[kind]):9}  {1000 * statistics.median(read[kind]):10.2f}  {previewed}\n")
    sys.stdout.write(f"the first command line takes {1000 * first:.0f} ms more\n")
    sys.stdout.write(f"found: {', '.join(f'{count} {kind}' for kind, count in found.most_common())}\n")
    sys.stdout.write("".join(f"FAILED {line}\n" for line in failed))
    return 1 if failed else 0


def took(made: Made) -> float:
    """Seconds of processor time to read it."""
    begun = time.process_time()
    read_manifest(made.data, made.file)
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
