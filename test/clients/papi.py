# VPP's own Python client driven by the tests and the benchmark: what it prints is JSON, one object per line.
#
#   papi.py SOCKET check [FOLDER]   a request, a dump, a cursor dump, an error, an event; messages from the .api.json
#                                   files of FOLDER, or, without it, from get_api_json
#   papi.py SOCKET bench N FOLDER   control_ping one at a time and as fast as do_async allows, ip_route_v2_dump

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


def bench(vpp, count):
    took = []
    began = time.perf_counter()
    for _ in range(count):
        before = time.perf_counter()
        vpp.api.control_ping()
        took.append((time.perf_counter() - before) * 1e6)
    seconds = time.perf_counter() - began
    took.sort()
    put(row="ping", perSecond=count / seconds, p50us=took[count // 2], p99us=took[count * 99 // 100])
    began = time.perf_counter()
    rows = vpp.api.ip_route_v2_dump(src=0, table={"table_id": 0, "is_ip6": False})
    put(row="dump", rows=len(rows), seconds=time.perf_counter() - began)


def bench_async(vpp, count):
    """As fast as do_async allows, 256 requests unanswered at most."""
    room = threading.Semaphore(256)
    vpp.register_event_callback(lambda name, message: room.release())
    began = time.perf_counter()
    for _ in range(count):
        room.acquire()
        vpp.api.control_ping()
    for _ in range(256):
        room.acquire()
    put(row="ping pipelined", perSecond=count / (time.perf_counter() - began))


socket_path, what = sys.argv[1], sys.argv[2]
folder = sys.argv[-1] if os.path.isdir(sys.argv[-1]) else None
files = {"apifiles": glob.glob(folder + "/*.api.json")} if folder else {"bootstrapapi": True}
client = VPPApiClient(server_address=socket_path, use_socket=True, read_timeout=120, **files)
client.connect("papi")
if what == "check":
    check(client)
else:
    bench(client, int(sys.argv[3]))
client.disconnect()
if what == "bench":
    client = VPPApiClient(server_address=socket_path, use_socket=True, read_timeout=120, **files)
    client.connect("papi-async", do_async=True)
    bench_async(client, int(sys.argv[3]) * 4)
    client.disconnect()
put(step="disconnected")
