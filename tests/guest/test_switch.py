"""A live guest moves from engine to engine, while programs in it count and a connection to it stays open."""
import os
import socket
import unittest
from unittest.mock import patch

from command import strata
from guest import PATIENCE, Folder, Guest, free_port

# Counts, in integers and in floating point, and stops if it ever counts wrong.
COUNTER = """
cat >/counter <<'end'
for (;;) {
    s = 0
    for (i = 1; i <= 1000; i++) s += i / 4
    if (s != 125125) { print s > "/wrong"; exit }
    print ++n > file; close(file)
}
end
"""
PORT = 7000


class Client:
    """A connection to the guest's counting service: each line that is sent is answered with its number."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.lines = self.socket.makefile("rw", encoding="ascii", newline="\n")
        self.count = 0

    def ask(self, word):
        self.count += 1
        self.lines.write(word + "\n")
        self.lines.flush()
        return self.lines.readline() == f"{self.count} {word}\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()


class SwitchEngine(unittest.TestCase):
    ROUNDS = 6

    def switch(self, engine):
        done = strata("engine", "switch", "live", engine)
        self.assertEqual((done.returncode, done.stdout), (0, f"live runs on {engine}\n"), done.stderr)

    def start_counting(self, guest, cpus):
        guest.check(COUNTER)
        for cpu in range(cpus):
            guest.check(f"taskset {1 << cpu} awk -v file=/count{cpu} \"BEGIN {{ $(cat /counter) }}\" >/dev/null 2>&1 &")
        guest.check("cat >/service <<'end'\n#!/bin/sh\nn=0; while read word; do n=$((n+1)); echo $n $word; done\nend")
        guest.check(f"chmod +x /service; nc -l -p {PORT} -e /service &")
        guest.check(f"until grep -q ':{PORT:04X} .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done")

    def counts(self, guest, cpus):
        """What the counters have reached; each has to go on from here."""
        return [int(guest.check(f"until n=$(cat /count{cpu}) && [ $n ]; do :; done; echo $n")) for cpu in range(cpus)]

    def has_gone_on(self, guest, before):
        for cpu, count in enumerate(before):
            guest.check(f"until n=$(cat /count{cpu}) && [ ${{n:-0}} -gt {count} ]; do :; done")

    def moves(self, cpus):
        port = free_port()
        with Folder() as folder, patch.dict(os.environ, XDG_RUNTIME_DIR=str(folder)):
            with Guest(options=["--name", "live", "--engine", "translator", "--cpus", str(cpus),
                                "-p", f"127.0.0.1:{port}:{PORT}"]) as guest:
                self.start_counting(guest, cpus)
                with Client(port) as client:
                    self.assertTrue(client.ask("first"))
                    for turn in range(self.ROUNDS):
                        for engine in ("interpreter", "translator"):
                            before = self.counts(guest, cpus)
                            self.switch(engine)
                            self.assertTrue(client.ask(f"{turn}{engine}"))
                            self.has_gone_on(guest, before)
                self.assertEqual(guest.run("ls /wrong")[0], 1)
                self.assertEqual(guest.trouble(), [])
                self.assertEqual(guest.power_off(), 0)

    def test_one_processor(self):
        self.moves(1)

    def test_two_processors(self):
        self.moves(2)


if __name__ == "__main__":
    unittest.main()
