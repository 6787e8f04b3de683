"""Containers of a user who is not root, with subordinate IDs and without."""
import os
import signal
import socket
import stat
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from containers import ContainerTest
from tools import Host, run

USER, FIRST, COUNT = 54321, 700000, 65536

# Who the user is, and what is granted to it, is so in a mount namespace of the command alone. There users may open
# /dev/net/tun, as they may on any desktop.
BECOME = """
set -e
touch /etc/subuid /etc/subgid
for file in passwd subuid subgid; do mount --bind "$STRATA_TEST_HOST/$file" "/etc/$file"; done
mount --bind "$STRATA_TEST_HOST/tun" /dev/net/tun
exec setpriv --reuid $STRATA_TEST_USER --regid $STRATA_TEST_USER --clear-groups "$@"
"""


class User(Host):
    """A user's home, and strata run by that user."""
    prefix = ("unshare", "-m", "sh", "-c", BECOME, "sh")

    def __init__(self, granted=True):
        super().__init__()
        os.chown(self.directory, USER, USER)
        (self / "passwd").write_text(Path("/etc/passwd").read_text() + f"tester:x:{USER}:{USER}::{self.directory}:/bin/sh\n")
        for name in ("subuid", "subgid"):
            (self / name).write_text(f"tester:{FIRST}:{COUNT}\n" if granted else "")
        os.mknod(self / "tun", 0o666 | stat.S_IFCHR, os.makedev(10, 200))
        os.chmod(self / "tun", 0o666)
        self.environment.update(STRATA_TEST_HOST=str(self.directory), STRATA_TEST_USER=str(USER))
        for name in ("STRATA_STORE", "STRATA_STATE", "XDG_DATA_HOME"):
            self.environment.pop(name, None)
        self.state = self / ".local/share/strata"


class RootlessTest(ContainerTest):
    granted = True

    def make_host(self):
        return User(self.granted)

    def keeper(self):
        words = (self.host.state / "run/namespace").read_text().split()
        return int(words[0]) if words else None

    def wait_for_nobody(self):
        self.wait_for(lambda: self.keeper() is None)


class Rootless(RootlessTest):
    def test_root_of_its_own(self):
        self.assertEqual(self.run_box("sh", "-c", "id -u; id -g; awk '{ print $1, $2, $3 }' /proc/self/uid_map").splitlines(),
                         ["0", "0", f"0 {USER} 1", f"1 {FIRST} {COUNT}"])
        self.assertEqual(self.run_box("sh", "-c", "id -u; id -G", options=["-u", "user"]).split(), ["1000", "1001", "2000"])
        self.assertEqual(self.strata("ps", "-aq"), "")

    def test_life(self):
        name = self.start_box("sh", "-c", "echo up; trap 'exit 3' TERM; while true; do sleep 0.1; done", options=["--name", "it"])
        self.wait_for(lambda: "up" in self.strata("logs", "it"))
        self.assertEqual(self.strata("ps", "--format", "{{.Names}} {{.State}}"), "it running\n")
        self.assertEqual(self.strata("exec", "it", "sh", "-c", "id -u; echo $$ > /tmp/written; cat /proc/1/comm").split(), ["0", "sh"])
        self.assertEqual(self.strata("exec", "-u", "user", "it", "id", "-u"), "1000\n")
        self.assertIn("sleep", self.strata("top", "it"))
        self.assertIn("A /tmp/written", self.strata("diff", "it"))
        self.strata("stop", "it")
        self.assertEqual(self.strata("wait", "it"), "3\n")
        self.strata("start", "it")
        self.assertEqual(self.state_of(name), "running")
        self.strata("rm", "-f", "it")
        self.assertEqual(list((self.host.state / "containers").iterdir()), [])
        self.wait_for_nobody()

    def test_programs_of_the_container_are_the_users(self):
        name = self.start_box("sleep", "1000")
        process = int(self.strata("inspect", "-f", "{{.State.Pid}}", name))
        self.assertEqual(os.stat(f"/proc/{process}").st_uid, USER)
        bounding = self.strata("exec", name, "grep", "CapBnd", "/proc/self/status")
        self.assertIn("00000000a80425fb", bounding) # over its own namespace only:
        self.assertNotEqual(os.readlink(f"/proc/{process}/ns/user"), os.readlink("/proc/self/ns/user"))
        self.strata("exec", name, "chown", "0:0", "/proc/sys", status=1)

    def test_files_have_subordinate_owners(self):
        (self.host / "data").mkdir()
        os.chown(self.host / "data", USER, USER)
        name = self.start_box("sleep", "1000", options=["-v", f"{self.host / 'data'}:/data", "-v", "things:/v"])
        self.strata("exec", name, "sh", "-c", "touch /data/own /data/other; chown 7:8 /data/other; touch /v/kept")
        owner = lambda file: (file.stat().st_uid, file.stat().st_gid)
        self.assertEqual(owner(self.host / "data/own"), (USER, USER))
        self.assertEqual(owner(self.host / "data/other"), (FIRST + 6, FIRST + 7))
        self.assertEqual(self.run_box("ls", "/v", options=["-v", "things:/v"]), "kept\n")

    def test_image_of_a_container(self):
        name = self.start_box("sh", "-c", "rm /etc/kept; echo new > /new; chown 7:8 /new")
        self.strata("wait", name)
        self.strata("commit", name, "box:mine")
        seen = self.strata("run", "--rm", "--network", "none", "box:mine", "sh", "-c", "ls -n /new; ls /etc/kept || true")
        self.assertEqual(seen.split()[2:4], ["7", "8"])
        self.assertNotIn("/etc/kept", seen)
        self.strata("rm", name)
        self.strata("rmi", "box", "box:mine")
        self.strata("prune", "-a", "-f") # also files of subordinate owners
        self.assertEqual(list((self.host.state / "images/layers/sha256").iterdir()), [])

    def test_terminal(self):
        name = self.start_box("sleep", "1000")
        self.assertIn("/dev/pts/0", self.strata("exec", "-t", name, "tty"))

    def test_networks(self):
        self.assertIn("LOOPBACK,UP", self.run_box("ip", "addr", "show", "lo"))
        self.assertEqual(self.run_box("ls", "/sys/class/net"), "lo\n")
        mine = {path.name for path in Path("/sys/class/net").iterdir()} - {"bonding_masters"}
        seen = self.strata("run", "--rm", "--network", "host", "box", "ls", "/sys/class/net").split()
        self.assertTrue(mine & set(seen))

    def test_limits_need_a_group(self):
        refusal = self.host.refused_with(125, "run", "--rm", "--network", "none", "-m", "16m", "box", "true")
        self.assertIn("memory", refusal)
        self.assertIn("delegated to you", refusal)
        name = self.start_box("sleep", "1000")
        self.assertIn("delegated to you", self.host.refused("pause", name))


class Served(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 3_000_000)

    def log_message(self, *_):
        pass


class UserNetwork(RootlessTest):
    """The network of a container without root: what the user reaches, but for the host's own loopback."""

    def serve(self, address):
        server = ThreadingHTTPServer((address, 0), Served)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_port

    def add_address(self):
        """An address that this host has besides its loopback."""
        device, address = f"stt{os.getpid()}", f"198.18.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
        run("ip", "link", "add", device, "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", device)
        run("ip", "addr", "add", f"{address}/32", "dev", device)
        run("ip", "link", "set", device, "up")
        return address

    def helpers(self):
        """The processes that serve this test's networks."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if (place / "comm").read_text().strip() in ("strata-net", "strata-ports") and \
                        str(self.host.directory) in (place / "environ").read_text():
                    found.append(place.name)
            except OSError:
                pass # it ended meanwhile
        return found

    def test_reaches_what_the_user_reaches(self):
        address = self.add_address()
        port = self.serve(address)
        fetch = ["wget", "-q", "-O", "-", f"http://{address}:{port}/"]
        self.assertEqual(len(self.strata("run", "--rm", "box", *fetch)), 3_000_000)
        seen = self.strata("run", "--rm", "box", "sh", "-c", "ip -4 addr show eth0; cat /etc/resolv.conf /etc/hosts").strip()
        self.assertIn("inet 10.0.2.15/24", seen)
        self.assertIn("nameserver 10.0.2.3", seen)
        self.assertRegex(seen, r"10\.0\.2\.15\t[0-9a-f]{12}")

    def test_loopback_stays_the_hosts(self):
        port = self.serve("127.0.0.1")
        for address in ("10.0.2.2", "127.0.0.1"):
            self.strata("run", "--rm", "box", "wget", "-q", "-O", "-", f"http://{address}:{port}/", status=1)

    def test_published_ports(self):
        server = self.strata("run", "-d", "-p", "127.0.0.1::80", "box", "sh", "-c",
                             "echo served > /tmp/index.html; httpd -f -p 80 -h /tmp").strip()
        self.strata("exec", server, "sh", "-c", "until wget -q -O /dev/null http://127.0.0.1/index.html; do sleep 0.1; done")
        place = self.strata("port", server).split(" -> ")[1].strip()
        self.assertEqual(run("curl", "-sf", f"http://{place}/index.html"), "served\n")
        self.assertEqual(self.strata("inspect", "-f", "{{.NetworkSettings.IPAddress}}", server), "10.0.2.15\n")
        self.assertEqual(self.strata("run", "--rm", "--network", f"container:{server}", "box", "wget", "-q", "-O", "-",
                                     "http://127.0.0.1/index.html"), "served\n")
        self.assertEqual(len(self.helpers()), 2)
        self.strata("rm", "-f", server)
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", int(place.split(":")[1]))), 0)
        self.wait_for(lambda: self.helpers() == [])

    def test_helpers_have_no_privileges(self):
        self.strata("run", "-d", "-p", "127.0.0.1::80", "box", "sleep", "1000")
        for process in self.helpers():
            status = Path(f"/proc/{process}/status").read_text()
            for line in ("CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"):
                self.assertIn(line, status)

    def test_what_needs_root_is_refused(self):
        self.assertIn("use --network user", self.host.refused_with(125, "run", "--rm", "--network", "bridge", "box", "true"))
        low = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        if low > 80:
            self.assertIn("from 1024 on", self.host.refused_with(126, "run", "--rm", "-p", "127.0.0.1:80:80", "box", "true"))


class Shared(RootlessTest):
    """All commands of a user are in one namespace, whoever comes first and whoever is killed."""

    def test_first_commands_at_one_time(self):
        self.wait_for_nobody()
        runs = [self.host.start("run", "-d", "--network", "none", "--name", f"c{i}", "box", "sleep", "1000") for i in range(6)]
        for process in runs:
            _, errors = process.communicate(timeout=100)
            self.assertEqual((process.returncode, errors), (0, ""))
        for i in range(6):
            self.assertEqual(self.strata("exec", f"c{i}", "echo", "reached"), "reached\n")
        self.strata("rm", "-f", *(f"c{i}" for i in range(6)))
        self.wait_for_nobody()

    def test_killed_keeper(self):
        self.start_box("sleep", "1000", options=["--name", "before"])
        first = self.keeper()
        os.kill(first, signal.SIGKILL)
        self.start_box("sleep", "1000", options=["--name", "after"])
        self.assertNotIn(self.keeper(), (None, first))
        for name in ("before", "after"):
            self.assertEqual(self.strata("exec", name, "echo", "reached"), "reached\n")
        self.strata("rm", "-f", "before", "after")
        self.wait_for_nobody()


class OneId(RootlessTest):
    """Without subordinate IDs a container has its root, and nobody else."""
    granted = False

    def test_runs(self):
        self.assertEqual(self.run_box("sh", "-c", "id -u; awk '{ print $1, $2, $3 }' /proc/self/uid_map").splitlines(),
                         ["0", f"0 {USER} 1"])
        name = self.start_box("sh", "-c", "rm /etc/kept; echo done; sleep 1000")
        self.wait_for(lambda: "done" in self.strata("logs", name))
        self.assertIn("D /etc/kept", self.strata("diff", name))
        self.assertEqual(self.strata("exec", name, "id", "-u"), "0\n")
        self.assertIn("/dev/pts/0", self.strata("exec", "-t", name, "tty"))
        self.strata("rm", "-f", name)
        self.wait_for_nobody()

    def test_other_users_are_refused(self):
        self.assertIn("/etc/subgid", self.host.refused_with(125, "run", "--rm", "--network", "none", "-u", "7:8", "box", "true"))


class Delegated(RootlessTest):
    """In control groups that are the user's, limits are set. Version 1: they are directories that somebody made."""
    controllers = ("memory", "pids", "freezer")

    def make_host(self):
        self.groups = [Path("/sys/fs/cgroup", controller, f"strata-test-{os.getpid()}") for controller in self.controllers]
        for group in self.groups:
            group.mkdir()
            self.addCleanup(group.rmdir)
            for path in (group, *group.iterdir()):
                os.chown(path, USER, USER)
        host = super().make_host()
        enter = "".join(f"echo $$ > {group}/cgroup.procs\n" for group in self.groups)
        host.prefix = ("sh", "-c", enter + 'exec "$@"', "sh", *host.prefix)
        return host

    def test_limits(self):
        options = ["-m", "16m", "--memory-swap", "16m", "--pids-limit", "20"]
        name = self.start_box("sleep", "1000", options=options)
        group = "/sys/fs/cgroup/"
        self.assertEqual(self.strata("exec", name, "cat", group + "memory/memory.limit_in_bytes", group + "pids/pids.max").split(),
                         [str(16 << 20), "20"])
        self.run_box("dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1", options=options, status=137)
        self.strata("pause", name)
        self.assertEqual(self.state_of(name), "paused")
        self.strata("unpause", name)
        self.strata("update", "--pids-limit", "30", name)
        self.assertEqual(self.strata("exec", name, "cat", group + "pids/pids.max"), "30\n")
        self.strata("rm", "-f", name)
        self.wait_for_nobody()
        for place in self.groups:
            self.assertEqual([path for path in place.iterdir() if path.is_dir()], [])


if __name__ == "__main__":
    unittest.main()
