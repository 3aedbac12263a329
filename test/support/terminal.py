# Runs a program on a terminal of its own: terminal.py COLUMNS ROWS COMMAND…. What comes on standard input is typed, what the
# program writes is printed; the exit code is the program's.

import fcntl
import os
import pty
import select
import struct
import sys
import termios

columns, rows, *command = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))
    os.environ["TERM"] = "xterm"
    os.execvp(command[0], command)
sources = [0, terminal]
while True:
    ready, _, _ = select.select(sources, [], [])
    if 0 in ready:
        typed = os.read(0, 4096)
        if typed:
            os.write(terminal, typed)
        else:
            sources.remove(0)
    if terminal in ready:
        try:
            written = os.read(terminal, 65536)
        except OSError:
            written = b""
        if not written:
            break
        os.write(1, written)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
