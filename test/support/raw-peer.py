"""A memif peer that does exactly what it is told: one JSON command a line in, one JSON answer a line out.

Node.js has no seqpacket sockets and passes no descriptors; this program has both and knows nothing of memif, so that a
test can send any message in any order and write anything into shared memory.

    {"op": "connect", "socket": NAME, "address": ADDRESS}           ADDRESS: a path, or '@name'
    {"op": "listen", "socket": NAME, "address": ADDRESS}
    {"op": "accept", "socket": NAME, "from": NAME}
    {"op": "send", "socket": NAME, "hex": BYTES, "fds": [FD..]}
    {"op": "receive", "socket": NAME, "ms": N}                      -> {"hex", "fds"} or {"end": true} or {"nothing": true}
    {"op": "close", "socket": NAME}
    {"op": "memory", "fd": FD, "size": N, "seal": true}             also: "eventfd", "pipe", "null"
    {"op": "truncate", "fd": FD, "size": N}
    {"op": "write", "fd": FD, "at": N, "hex": BYTES}
    {"op": "read", "fd": FD, "at": N, "size": N}                    -> {"hex"}
    {"op": "kick", "fd": FD}
    {"op": "wait", "fd": FD, "ms": N}                               -> {"count"}: what the eventfd held
    {"op": "nonblocking", "fd": FD, "on": false}

Names of sockets and descriptors are the caller's. Received descriptors are called `<socket>.0`, `<socket>.1`, ...
"""

import fcntl
import json
import mmap
import os
import select
import socket
import sys

sockets = {}
fds = {}
maps = {}
received = {}


def address(text):
    return "\0" + text[1:] if text.startswith("@") else text


def mapped(name):
    if name not in maps:
        maps[name] = mmap.mmap(fds[name], os.fstat(fds[name]).st_size)
    return maps[name]


def connect(c):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(address(c["address"]))
    sockets[c["socket"]] = s


def listen(c):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.bind(address(c["address"]))
    s.listen(64)
    sockets[c["socket"]] = s


def accept(c):
    listener = sockets[c["from"]]
    listener.settimeout(c.get("ms", 5000) / 1000)
    sockets[c["socket"]] = listener.accept()[0]


def send(c):
    try:
        socket.send_fds(sockets[c["socket"]], [bytes.fromhex(c["hex"])], [fds[n] for n in c.get("fds", [])])
    except (BrokenPipeError, ConnectionResetError):
        return {"end": True}


def receive(c):
    name = c["socket"]
    s = sockets[name]
    if not select.select([s], [], [], c.get("ms", 5000) / 1000)[0]:
        return {"nothing": True}
    try:
        data, new, _flags, _from = socket.recv_fds(s, 4096, 16)
    except ConnectionResetError:
        return {"end": True}
    if not data:
        return {"end": True}
    names = []
    for fd in new:
        received[name] = received.get(name, -1) + 1
        names.append(f"{name}.{received[name]}")
        fds[names[-1]] = fd
    return {"hex": data.hex(), "fds": names}


def close(c):
    sockets.pop(c["socket"]).close()


def memory(c):
    maps.pop(c["fd"], None)
    fd = os.memfd_create("raw", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, c["size"])
    if c.get("seal", True):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    fds[c["fd"]] = fd


def make_eventfd(c):
    fds[c["fd"]] = os.eventfd(0, os.EFD_NONBLOCK)


def make_pipe(c):
    fds[c["fd"]], fds[c["fd"] + ".end"] = os.pipe()


def make_null(c):
    fds[c["fd"]] = os.open("/dev/null", os.O_RDWR)


def truncate(c):
    os.ftruncate(fds[c["fd"]], c["size"])


def write(c):
    data = bytes.fromhex(c["hex"])
    mapped(c["fd"])[c["at"] : c["at"] + len(data)] = data


def read(c):
    return {"hex": mapped(c["fd"])[c["at"] : c["at"] + c["size"]].hex()}


def kick(c):
    os.eventfd_write(fds[c["fd"]], 1)


def wait(c):
    if not select.select([fds[c["fd"]]], [], [], c.get("ms", 1000) / 1000)[0]:
        return {"count": 0}
    return {"count": os.eventfd_read(fds[c["fd"]])}


def nonblocking(c):
    os.set_blocking(fds[c["fd"]], not c["on"])


operations = {
    "connect": connect,
    "listen": listen,
    "accept": accept,
    "send": send,
    "receive": receive,
    "close": close,
    "memory": memory,
    "eventfd": make_eventfd,
    "pipe": make_pipe,
    "null": make_null,
    "truncate": truncate,
    "write": write,
    "read": read,
    "kick": kick,
    "wait": wait,
    "nonblocking": nonblocking,
}

for line in sys.stdin:
    command = json.loads(line)
    try:
        answer = operations[command["op"]](command) or {}
    except Exception as error:  # the test decides what an error means
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
