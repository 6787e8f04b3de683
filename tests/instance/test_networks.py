"""Networks of the user's: names between containers, subnets of their own, and what does not get from one to another."""
import json
import os
import socket
import struct
import subprocess
import threading
import unittest

from containers import ContainerTest
from tools import run


class Networks(ContainerTest):
    def tearDown(self):
        self.remove_all()
        bridges = run("sh", "-c", "cat /sys/class/net/strata*/ifalias 2>/dev/null; true")
        for network in json.loads(self.strata("network", "inspect", *self.strata("network", "ls", "-q", "--no-trunc").split())):
            self.assertNotIn(network["Id"], bridges) # gone with the last container

    def start(self, name, network, *options):
        return self.strata("run", "-d", "--name", name, "--network", network, *options, "box", "sh", "-c",
                           f"echo {name} > /tmp/index.html; httpd -p 80 -h /tmp; sleep 1000").strip()

    def look_up(self, container, name):
        done = self.host.start("exec", container, "nslookup", "-type=a", name)
        output = done.communicate(timeout=100)[0]
        return [line.split()[1] for line in output.split("Name:", 1)[-1].splitlines() if line.startswith("Address:")] \
            if done.returncode == 0 and "Name:" in output else []

    def fetch(self, container, name):
        process = self.host.start("exec", container, "timeout", "5", "wget", "-q", "-O", "-", f"http://{name}/index.html")
        return process.communicate(timeout=100)[0]

    def address(self, container, network):
        return self.strata("inspect", "-f", f"{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}", container).strip()

    def test_names(self):
        self.strata("network", "create", "web")
        one = self.start("one", "web", "--network-alias", "front")
        self.start("two", "web")
        for name in ("one", "front", "ONE", "one.web", one[:12]):
            self.wait_for(lambda: self.fetch("two", name) == "one\n")
        self.assertEqual(self.look_up("one", "two"), [self.address("two", "web")])
        self.assertIn("one.web", self.strata("exec", "two", "nslookup", self.address("one", "web")))
        self.assertIn("nameserver 127.0.0.11", self.strata("exec", "two", "cat", "/etc/resolv.conf"))
        self.strata("rm", "-f", "two")
        self.assertEqual(self.look_up("one", "two"), [])

    def test_networks_are_apart(self):
        self.strata("network", "create", "web")
        self.strata("network", "create", "--internal", "db")
        self.start("one", "web")
        self.start("two", "db")
        self.assertEqual(self.look_up("one", "two"), [])
        self.assertEqual(self.fetch("one", self.address("two", "db")), "")
        self.assertEqual(self.fetch("two", self.address("one", "web")), "")
        self.assertNotIn("default", self.strata("exec", "two", "ip", "route"))
        self.strata("network", "connect", "--alias", "store", "db", "one") # while it runs
        self.wait_for(lambda: self.fetch("one", "store") == "one\n")
        self.assertEqual(self.fetch("one", "two"), "two\n")
        self.assertEqual(self.fetch("two", "one"), "one\n")
        self.assertIn("in network 'db' already", self.host.refused("network", "connect", "db", "one"))
        self.assertIn("used by container", self.host.refused("network", "rm", "db"))
        self.strata("network", "disconnect", "db", "one")
        self.assertEqual(self.look_up("two", "one"), [])
        self.strata("restart", "-t", "0", "one")
        self.strata("rm", "-f", "two")
        self.assertEqual(self.strata("network", "prune"), "db\n")
        self.assertEqual(self.strata("events", "--since", "1h", "--until", "0s", "--filter", "type=network",
                                     "--filter", "network=db", "--format", "{{.Action}}").split(),
                         ["create", "connect", "disconnect", "destroy"])

    def test_addresses(self):
        self.strata("network", "create", "--subnet", "10.249.77.0/28", "--gateway", "10.249.77.14", "--label", "a=b", "web")
        self.start("one", "web", "--ip", "10.249.77.9")
        self.start("two", "web")
        self.assertEqual([self.address(name, "web") for name in ("one", "two")], ["10.249.77.9", "10.249.77.1"])
        self.assertIn("10.249.77.14", self.strata("exec", "two", "ip", "route"))
        seen = json.loads(self.strata("network", "inspect", "web"))[0]
        self.assertEqual(sorted(c["IPv4Address"] for c in seen["Containers"].values()), ["10.249.77.1/28", "10.249.77.9/28"])
        self.assertEqual(seen["IPAM"]["Config"], [{"Subnet": "10.249.77.0/28", "Gateway": "10.249.77.14"}])
        self.assertEqual(seen["Labels"], {"a": "b"})
        self.assertIn("overlaps", self.host.refused("network", "create", "--subnet", "10.249.77.0/24", "other"))
        self.assertIn("another container's", self.host.refused_with(125, "run", "--rm", "--network", "web", "--ip", "10.249.77.9", "box", "true"))
        self.assertIn("no network 'absent'", self.host.refused_with(125, "run", "--rm", "--network", "absent", "box", "true"))

    def test_two_states_on_one_host(self):
        other = self.make_host()
        self.addCleanup(other.__exit__)
        other.environment.pop("SOURCE_DATE_EPOCH")
        other.strata("import", "-c", 'CMD ["sh"]', self.host / "root.tar", "box")
        hosts = (self.host, other)
        names = [host.strata("run", "-d", "box", "sh", "-c", "echo served > /tmp/index.html; httpd -p 80 -h /tmp; sleep 1000").strip()
                 for host in hosts]
        try:
            places = [host.strata("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name).strip() for host, name in zip(hosts, names)]
            self.assertNotEqual(*(place.rsplit(".", 2)[0] for place in places))
            for place in places:
                self.wait_for(lambda: subprocess.run(["curl", "-sf", f"http://{place}/index.html"], capture_output=True).stdout == b"served\n")
        finally:
            other.strata("rm", "-f", names[1])

    def test_after_the_monitor_was_killed(self):
        self.strata("network", "create", "web")
        name = self.start("one", "web")
        self.start("two", "web")
        os.kill(self.monitor_of(name), 9)
        self.wait_for(lambda: self.look_up("one", "two") == [self.address("two", "web")])
        self.strata("restart", "-t", "0", "one")
        self.wait_for(lambda: self.fetch("two", "one") == "one\n")

    def test_other_names_are_asked_for(self):
        with Upstream() as upstream:
            self.strata("network", "create", "web")
            self.start("one", "web", "--dns", upstream.address)
            self.assertEqual(self.look_up("one", "far.example"), ["192.0.2.7"])
            upstream.answers = False # nor does any later one
            self.assertEqual(self.look_up("one", "farther.example"), [])
            self.assertEqual(self.look_up("one", "one"), [self.address("one", "web")])


class Upstream:
    """A name server of this host's, which knows one address for every name."""
    def __init__(self):
        self.answers = True
        self.address = f"127.53.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF or 1}"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 53))

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.close()

    def serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            is_a = query[end - 4:end - 2] == b"\0\1"
            wrong = struct.pack(">H", struct.unpack(">H", query[:2])[0] ^ 1) # what others send is not believed
            for number, address in ((wrong, "203.0.113.1"), (query[:2], "192.0.2.7")):
                record = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + socket.inet_aton(address)
                if self.answers:
                    self.socket.sendto(number + struct.pack(">5H", 0x8180, 1, int(is_a), 0, 0) + query[12:end] + (record if is_a else b""), client)


if __name__ == "__main__":
    unittest.main()
