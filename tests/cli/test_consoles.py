"""What a console can be wired to: files, sockets, pseudo-terminals, standard input and output, nothing."""
import os
import re
import socket
import subprocess
import threading
import time
import unittest

from command import POWER_OFF, STOPPED, obedient
from guest import PATIENCE, STRATA, Console, Folder, Guest


def receive_until(connection, text):
    """What comes from a socket, up to and with `text`."""
    connection.settimeout(PATIENCE)
    got = b""
    while text not in got:
        data = connection.recv(4096)
        if not data:
            raise EOFError(f"closed after {got!r}")
        got += data
    return got


class Consoles(unittest.TestCase):
    def setUp(self):
        folder = Folder()
        self.folder = folder.__enter__()
        self.addCleanup(folder.__exit__)

    def start(self, append, *options):
        machine = Console(obedient(append, *options))
        self.addCleanup(machine.close)
        return machine

    def ends(self, machine, status=POWER_OFF):
        self.assertEqual(machine.wait(), status, machine.log)

    def test_stdio_pipes(self):
        machine = subprocess.run(obedient("say=hello"), input=b"say=one\nsay=two\noff\n", capture_output=True, timeout=PATIENCE)
        self.assertEqual(machine.returncode, POWER_OFF)
        self.assertRegex(machine.stderr, rb"\A(strata: runs on the [^\n]*\n)?\Z") # what "auto" passed over
        self.assertEqual(machine.stdout, b"hello\nready\none\ntwo\n")

    def test_input_from_a_file(self):
        script = self.folder / "script"
        script.write_text("say=from a file\noff\n")
        with script.open("rb") as f:
            machine = subprocess.run(obedient(), stdin=f, capture_output=True, timeout=PATIENCE)
        self.assertEqual(machine.stdout, b"ready\nfrom a file\n")

    def test_input_ends_and_the_machine_runs_on(self):
        with Console(obedient("button"), stdin=subprocess.DEVNULL) as machine:
            machine.expect("waiting")
            time.sleep(0.3)
            self.assertIsNone(machine.process.poll())
            machine.process.terminate()
            self.ends(machine)

    def test_file(self):
        serial, debug = self.folder / "serial", self.folder / "debug"
        serial.write_text("what was there before")
        machine = self.start("say=hello log=debugging off", "--serial", f"file:{serial}", "--debug-console", f"file:{debug}")
        self.ends(machine)
        self.assertEqual(machine.log, "")
        self.assertEqual(serial.read_text(), "hello\n")
        self.assertEqual(debug.read_text(), "debugging\n")

    def test_much_output_to_a_file(self):
        serial = self.folder / "serial"
        machine = self.start("flood", "--serial", f"file:{serial}")
        while not serial.exists() or serial.stat().st_size < 100000:
            time.sleep(0.05)
        machine.process.terminate()
        time.sleep(0.2)
        machine.process.terminate()
        self.ends(machine, STOPPED)
        self.assertRegex(serial.read_text(), r"\A(flood\n)+(f|fl|flo|floo|flood)?\Z")

    def test_fifo_with_a_reader(self):
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        got = []
        reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
        reader.start()
        self.ends(self.start("say=hello off", "--serial", f"file:{fifo}"))
        reader.join(PATIENCE)
        self.assertEqual(got, ["hello\n"])

    def test_none(self):
        machine = self.start("say=unheard log=unheard off", "--serial", "none")
        self.ends(machine)
        self.assertEqual(machine.log, "")

    def test_debug_console_on_stdio(self):
        machine = self.start("log=hello off", "--serial", "none", "--debug-console", "stdio")
        self.ends(machine)
        self.assertEqual(machine.log, "hello\n")

    def talk(self, connect):
        """A client, another after it, and one that vanishes in the middle."""
        with connect() as first:
            first.sendall(b"say=first\n")
            receive_until(first, b"first\n")
        with connect() as second:
            second.sendall(b"say=second\nsay=unfini")
            receive_until(second, b"second\n")
        with connect() as third:
            third.sendall(b"shed\n")
            receive_until(third, b"shed\n")
            third.sendall(b"off\n")
            while third.recv(4096):
                pass

    def test_unix_socket_and_reconnect(self):
        path = self.folder / "console"
        machine = self.start("", "--serial", f"socket:{path}")
        machine.expect(f"^strata: console on {re.escape(str(path))}$")

        def connect():
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(path))
            return client

        self.talk(connect)
        self.ends(machine)
        self.assertFalse(path.exists())

    def test_tcp_socket_and_reconnect(self):
        machine = self.start("", "--serial", "socket:127.0.0.1:0")
        port = int(machine.expect(r"^strata: console on 127\.0\.0\.1:(\d+)$")[1])
        self.talk(lambda: socket.create_connection(("127.0.0.1", port), PATIENCE))
        self.ends(machine)

    def test_socket_that_was_left_behind(self):
        path = self.folder / "console"
        with socket.socket(socket.AF_UNIX) as earlier:
            earlier.bind(str(path))
        self.ends(self.start("off", "--serial", f"socket:{path}"))

    def test_socket_that_another_has(self):
        path = self.folder / "console"
        machine = self.start("", "--serial", f"socket:{path}")
        machine.expect("^strata: console on")
        second = self.start("off", "--serial", f"socket:{path}")
        self.assertEqual(second.wait(), 2)
        self.assertIn("Address already in use", second.log)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"off\n")
            self.ends(machine)

    def test_pty(self):
        machine = self.start("button", "--serial", "pty")
        path = machine.expect("^strata: console on (/dev/pts/[0-9]+)$")[1]
        terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, terminal)
        got = b""
        while not got.endswith(b"\n"):
            got += os.read(terminal, 4096)
        self.assertEqual(got, b"waiting for the power button\n")
        machine.process.terminate()
        self.ends(machine)

    def test_pty_input_and_reopening(self):
        machine = self.start("", "--serial", "pty")
        path = machine.expect("^strata: console on (/dev/pts/[0-9]+)$")[1]
        for text in (b"one", b"two"):
            terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
            os.write(terminal, b"say=" + text + b"\n")
            got = b""
            while text + b"\n" not in got:
                got += os.read(terminal, 4096)
            os.close(terminal)
        terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.write(terminal, b"off\n")
        self.ends(machine)
        os.close(terminal)

    def test_virtio_console_of_linux(self):
        path = self.folder / "console"
        with Guest(options=["--net", "none", "--console", f"socket:{path}"]) as guest, \
                socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            guest.check("test -c /dev/hvc0 && echo hello >/dev/hvc0")
            receive_until(client, b"hello\r\n")  # Linux resets its mode at each close
            guest.type("head -n 1 </dev/hvc0\n")
            client.sendall(b"from the host\n")
            guest.expect("^from the host$")
            self.assertEqual(guest.power_off(), POWER_OFF)


if __name__ == "__main__":
    unittest.main()
