# VPP's own Python client driven by the tests and the benchmark: what it prints is JSON, one object per line.
#
#   papi.py SOCKET check [FOLDER]   a request, a dump, a cursor dump, an error, an event; messages from the .api.json
#                                   files of FOLDER, or, without it, from get_api_json
#   papi.py SOCKET bench FOLDER     a row of the benchmark per line of its standard input: ping N W, pipelined N WINDOW,
#                                   add N WINDOW and del N WINDOW (routes, as fast as do_async allows), dump 0 0

import glob
import json
import os
import queue
import sys
import threading
import time

from vpp_papi import VPPApiClient


def put(**fields):
    print(json.dumps(fields), flush=True)


def check(vpp):
    version = vpp.api.show_version()
    put(step="sync", version=version.version, retval=version.retval)
    rows = vpp.api.sw_interface_dump(sw_if_index=0xFFFFFFFF)
    put(step="dump", names=[row.interface_name for row in rows])
    pages = vpp.details_iter(vpp.api.sw_interface_tx_placement_get, sw_if_index=0xFFFFFFFF)
    put(step="cursor", rows=len(list(pages)))
    refused = vpp.api.sw_interface_set_flags(sw_if_index=4242, flags=1)
    put(step="error", retval=refused.retval)
    events = queue.Queue()
    vpp.register_event_callback(lambda name, event: events.put((name, event)))
    vpp.api.want_interface_events(enable_disable=1, pid=os.getpid())
    put(step="wanted")
    name, event = events.get(timeout=20)
    put(step="event", name=name, sw_if_index=event.sw_if_index, pid_is_mine=event.pid == os.getpid())


def route(n, add):
    path = {"sw_if_index": 0, "weight": 1, "type": 1, "proto": 0, "label_stack": [{}] * 16}
    prefix = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32"
    return {"is_add": add, "route": {"table_id": 0, "prefix": prefix, "n_paths": 1, "paths": [path]}}


def bench(connect):
    """A row per line of the standard input: ROW COUNT WINDOW."""
    for line in sys.stdin:
        row, count, window = line.split()[0], *(int(word) for word in line.split()[1:])
        vpp = connect(do_async=row in ("pipelined", "add", "del"))
        if row == "ping":
            took = []
            began = time.perf_counter()
            for _ in range(count):
                before = time.perf_counter()
                vpp.api.control_ping()
                took.append((time.perf_counter() - before) * 1e6)
            seconds = time.perf_counter() - began
            took.sort()
            put(row=row, perSecond=count / seconds, p50us=took[count // 2], p99us=took[count * 99 // 100])
        elif row == "dump":
            began = time.perf_counter()
            rows = vpp.api.ip_route_v2_dump(src=0, table={"table_id": 0, "is_ip6": False})
            put(row=row, count=len(rows), perSecond=len(rows) / (time.perf_counter() - began))
        else:
            bench_async(vpp, row, count, window)
        vpp.disconnect()


def bench_async(vpp, row, count, window):
    """As fast as do_async allows, `window` requests unanswered at most."""
    room = threading.Semaphore(window)
    vpp.register_event_callback(lambda name, message: room.release())
    began = time.perf_counter()
    for n in range(count):
        room.acquire()
        if row == "pipelined":
            vpp.api.control_ping()
        else:
            vpp.api.ip_route_add_del_v2(**route(n, row == "add"))
    for _ in range(window):
        room.acquire()
    put(row=row, count=count, perSecond=count / (time.perf_counter() - began))


socket_path, what = sys.argv[1], sys.argv[2]
folder = sys.argv[-1] if os.path.isdir(sys.argv[-1]) else None
files = {"apifiles": glob.glob(folder + "/*.api.json")} if folder else {"bootstrapapi": True}


def connected(do_async=False):
    client = VPPApiClient(server_address=socket_path, use_socket=True, read_timeout=120, **files)
    client.connect("papi", do_async=do_async)
    return client


if what == "check":
    client = connected()
    check(client)
    client.disconnect()
else:
    bench(connected)
put(step="disconnected")
