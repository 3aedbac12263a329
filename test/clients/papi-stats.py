# VPP's own Python stats client driven by the tests and the benchmark: what it prints is JSON, one object per line.
#
#   papi-stats.py SOCKET dump PATTERN…   the entries that match
#   papi-stats.py SOCKET bench N S       N readings of all of /if/, N of one interface, each for S seconds at most

import json
import sys
import time

from vpp_papi.vpp_stats import VPPStats


def put(**fields):
    print(json.dumps(fields), flush=True)


def plain(value):
    if hasattr(value, "min_exp"):
        return {"leastExponent": value.min_exp, "bins": value.bins}
    if hasattr(value, "dictionary"):
        return [value[0], value[1]]
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value if isinstance(value, (int, float, str)) or value is None else str(value)


def measure(row, entries, count, seconds, work):
    took = []
    end = time.perf_counter() + seconds
    while not took or (len(took) < count and time.perf_counter() < end):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1e3)
    took.sort()
    runs = len(took)
    put(row=row, entries=entries, runs=runs, p50ms=took[runs // 2], p99ms=took[runs * 99 // 100])


def main():
    stats = VPPStats(sys.argv[1])
    stats.connect()
    if sys.argv[2] == "bench":
        count, seconds = int(sys.argv[3]), int(sys.argv[4])
        # For each symlink it reads the whole vector, in Python: a full dump of many interfaces would take hours.
        vectors = stats.ls(["/if/"])
        measure("vectors", len(vectors), count, seconds, lambda: stats.dump(vectors))
        one = stats.ls(["/interfaces/bench7/"])
        measure("interface", len(one), count, seconds, lambda: stats.dump(one))
        return
    for name in stats.ls(sys.argv[3:]):
        put(name=name, type=stats.directory[name].type, value=plain(stats[name]))


main()
