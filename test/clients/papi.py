# VPP's own Python client driven by the tests and the benchmark: what it prints is JSON, one object per line.
#
#   papi.py SOCKET check [FOLDER]   a request, a dump, a cursor dump, an error, an event; messages from the .api.json
#                                   files of FOLDER, or, without it, from get_api_json
#   papi.py SOCKET configure        loopbacks, addresses, a bridge domain, routes with two paths, an ACL, a tag, and their
#                                   dumps; an event; a command
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


def configure(vpp):
    api = vpp.api
    events = queue.Queue()
    vpp.register_event_callback(lambda name, event: events.put((name, event)))
    api.want_interface_events(enable_disable=1, pid=os.getpid())
    loops = [api.create_loopback(mac_address=f"02:fe:00:00:00:{n:02x}").sw_if_index for n in (1, 2)]
    for n, index in enumerate(loops):
        api.sw_interface_set_flags(sw_if_index=index, flags=1)
        api.sw_interface_add_del_address(sw_if_index=index, is_add=True, prefix=f"10.{n}.0.1/24")
    put(step="addresses", prefixes=[str(row.prefix) for i in loops for row in api.ip_address_dump(sw_if_index=i)])
    labels = [{"is_uniform": 0, "label": 0, "ttl": 0, "exp": 0}] * 16
    path = lambda n: {
        "sw_if_index": loops[n], "weight": n + 1, "proto": 0, "type": 0, "nh": {"address": {"ip4": f"10.{n}.0.9"}},
        "n_labels": 0, "label_stack": labels,
    }
    route = {"prefix": "192.0.2.0/24", "n_paths": 2, "paths": [path(0), path(1)]}
    added = api.ip_route_add_del(is_add=True, is_multipath=False, route=route)
    found = api.ip_route_lookup(table_id=0, exact=0, prefix="192.0.2.77/32")
    put(
        step="route", retval=added.retval, prefix=str(found.route.prefix),
        paths=[[p.sw_if_index, p.weight, str(p.nh.address.ip4)] for p in found.route.paths],
    )
    api.bridge_domain_add_del_v2(bd_id=7, is_add=True, flood=True, uu_flood=True, forward=True, learn=True)
    bridged = api.create_loopback(mac_address="02:fe:00:00:00:03").sw_if_index
    api.sw_interface_set_l2_bridge(rx_sw_if_index=bridged, bd_id=7, port_type=1, enable=True)
    domain = api.bridge_domain_dump(bd_id=7)[0]
    put(step="bridge", bvi=domain.bvi_sw_if_index, members=[m.sw_if_index for m in domain.sw_if_details])
    rule = {"is_permit": 2, "src_prefix": "10.0.0.0/8", "dst_prefix": "0.0.0.0/0", "proto": 6,
            "srcport_or_icmptype_last": 65535, "dstport_or_icmpcode_first": 80, "dstport_or_icmpcode_last": 80}
    acl = api.acl_add_replace(acl_index=0xFFFFFFFF, tag="web", count=1, r=[rule]).acl_index
    api.acl_interface_set_acl_list(sw_if_index=loops[0], count=1, n_input=1, acls=[acl])
    rules = api.acl_dump(acl_index=acl)[0].r
    put(step="acl", lists=list(api.acl_interface_list_dump(sw_if_index=loops[0])[0].acls), permit=int(rules[0].is_permit))
    put(step="refused", retvals=[
        api.acl_del(acl_index=acl).retval,
        api.sw_interface_set_flags(sw_if_index=4242, flags=1).retval,
        api.nat44_ed_plugin_enable_disable(enable=True).retval,
    ])
    put(step="cli", text=api.cli_inband(cmd="show interface").reply)
    seen = set()
    while not set(loops) <= seen:
        name, event = events.get(timeout=20)
        if int(event.flags) & 1:
            seen.add(event.sw_if_index)
    put(step="events", up=sorted(seen))


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
elif what == "configure":
    client = connected()
    configure(client)
    client.disconnect()
else:
    bench(connected)
put(step="disconnected")
