# A stats server that does what it is told, one JSON command per line on standard input: a segment whose bytes, seals and
# manners are the test's.
#
#   {"do": "memory", "size": N, "file": PATH?}   a new memfd, not sealed, filled from a file
#   {"do": "listen", "socket": PATH, "manner": "serve" | "silent" | "nothing" | "empty" | "pipe"}
#   {"do": "write", "offset": N, "hex": BYTES}   {"do": "truncate", "size": N}   {"do": "unlisten"}
#
# Each is answered with one line.

import array
import json
import os
import socket
import sys
import threading

memory = None
listener = None
kept = []


def serve(server, manner):
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        if manner == "silent":
            kept.append(client)
            continue
        if manner == "empty":
            client.send(b"x")
        if manner in ("serve", "pipe"):
            fd = memory if manner == "serve" else os.pipe()[0]
            rights = array.array("i", [fd])
            client.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        client.close()


for line in sys.stdin:
    command = json.loads(line)
    do = command["do"]
    if do == "memory":
        memory = os.memfd_create("stat segment", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(memory, command["size"])
        if "file" in command:
            with open(command["file"], "rb") as source:
                os.pwrite(memory, source.read(), 0)
    elif do == "write":
        os.pwrite(memory, bytes.fromhex(command["hex"]), command["offset"])
    elif do == "truncate":
        os.ftruncate(memory, command["size"])
    elif do == "unlisten":
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    elif do == "listen":
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.path.exists(command["socket"]):
            os.unlink(command["socket"])
        listener.bind(command["socket"])
        listener.listen(16)
        threading.Thread(target=serve, args=(listener, command["manner"]), daemon=True).start()
    print(json.dumps({"done": do}), flush=True)
os._exit(0)
