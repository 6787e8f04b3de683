"""Networks of the user's: names between containers, subnets of their own, and what does not get from one to another."""
import itertools
import json
import os
import socket
import struct
import subprocess
import tarfile
import threading
import unittest
from pathlib import Path

from containers import ContainerTest
from tools import run, tar


def start_all(test, count):
    """Addresses of so many containers in the network web, all of which start at one time."""
    names = [f"n{number}" for number in range(count)]
    starts = [test.host.start("run", "-d", "--name", name, "--network", "web", "--network-alias", "all", "box", "sleep", "1000")
              for name in names]
    ends = [(start.communicate(timeout=100)[1], start.returncode) for start in starts]
    test.assertEqual(ends, count * [("", 0)])
    return sorted(test.strata("inspect", "-f", "{{.NetworkSettings.Networks.web.IPAddress}}", *names).split())


class Networks(ContainerTest):
    def tearDown(self):
        self.remove_all()
        self.assertEqual(self.bridges(), {}) # a pruning leaves none

    def bridges(self, host=None):
        """The numbers of the bridges that belong to this state, by their network's ID."""
        found = {}
        for place in Path("/sys/class/net").glob("strata*"):
            try:
                words, index = (place / "ifalias").read_text().split(), int((place / "ifindex").read_text())
            except OSError:
                continue # another test's, gone meanwhile
            if words[:2] == ["strata", "network"] and words[4:] == [str((host or self.host) / "state")]:
                found[words[2]] = index
        return found

    def start(self, name, network, *options):
        return self.strata("run", "-d", "--name", name, "--network", network, *options, "box", "sh", "-c",
                           f"echo {name} > /tmp/index.html; httpd -p 80 -h /tmp; sleep 1000").strip()

    def look_up(self, container, name):
        done = self.host.start("exec", container, "nslookup", "-type=a", name)
        output = done.communicate(timeout=100)[0]
        return [line.split()[1] for line in output.split("Name:", 1)[-1].splitlines() if line.startswith("Address:")] \
            if done.returncode == 0 and "Name:" in output else []

    def fetch(self, container, name, seconds=5):
        process = self.host.start("exec", container, "timeout", seconds, "wget", "-q", "-O", "-", f"http://{name}/index.html")
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
            other.strata("network", "prune")

    def test_first_containers_at_one_time(self):
        """The network's subnet was somebody else's by then."""
        with self.make_host() as other:
            other.environment.pop("SOURCE_DATE_EPOCH")
            other.strata("import", "-c", 'CMD ["sh"]', self.host / "root.tar", "box")
            for host in (self.host, other):
                host.strata("network", "create", "web")
            name = other.strata("run", "-d", "--network", "web", "box", "sleep", "1000").strip()
            try:
                addresses = start_all(self, 8)
            finally:
                other.strata("rm", "-f", name)
                other.strata("network", "prune")
        self.assertEqual(len(self.bridges()), 1)
        self.assertEqual(len(set(addresses)), 8)
        subnet = json.loads(self.strata("network", "inspect", "web"))[0]["IPAM"]["Config"][0]["Subnet"]
        self.assertEqual({address.rsplit(".", 1)[0] for address in addresses}, {subnet.rsplit(".", 1)[0]})

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


    def test_bridges_stay_for_the_next_container(self):
        web = self.strata("network", "create", "web").strip()
        self.assertEqual(self.bridges(), {}) # made when it is needed
        self.strata("run", "--rm", "--network", "web", "box", "true")
        before = self.bridges()
        self.assertEqual(list(before), [web])
        one = self.start("one", "web")
        self.start("two", "web")
        self.assertEqual(self.bridges(), before)
        self.wait_for(lambda: self.fetch("two", "one") == "one\n")
        self.assertIn("used by container", self.host.refused("network", "rm", "web"))
        self.strata("network", "prune") # nor does it go so
        self.assertEqual(self.fetch("two", "one"), "one\n")
        self.strata("rm", "-f", one, "two")
        self.strata("network", "rm", "web")
        self.assertEqual(self.bridges(), {})
        self.strata("run", "--rm", "box", "true")
        usual = self.strata("network", "inspect", "-f", "{{.Id}}", "bridge").strip()
        self.assertEqual(list(self.bridges()), [usual])
        self.strata("network", "prune")
        self.assertEqual(self.bridges(), {})
        self.strata("run", "--rm", "box", "true")

    def test_bridge_of_a_state_that_is_gone(self):
        with self.make_host() as other:
            other.environment.pop("SOURCE_DATE_EPOCH")
            other.strata("import", "-c", 'CMD ["true"]', self.host / "root.tar", "box")
            other.strata("run", "--rm", "box")
            self.assertEqual(len(self.bridges(other)), 1)
        # Another state's first container finds it, when those that are in it have ended.
        def found():
            self.strata("run", "--rm", "box", "true")
            self.strata("network", "prune")
            return self.bridges(other) == {}
        self.wait_for(found)

    def test_who_gets_an_address_is_reached_at_once(self):
        """Others remember the hardware address of who had it before."""
        self.strata("network", "create", "--subnet", "10.248.77.0/28", "web")
        self.start("two", "web")
        seen = set()
        for _ in range(3):
            self.start("one", "web", "--ip", "10.248.77.9")
            self.wait_for(lambda: self.fetch("two", "10.248.77.9") == "one\n")
            seen.add(self.strata("exec", "one", "cat", "/sys/class/net/eth0/address"))
            self.strata("rm", "-f", "one")
        self.assertEqual(seen, {"02:73:0a:f8:4d:09\n"})

    def test_addresses_go_round(self):
        self.strata("network", "create", "--subnet", "10.247.77.0/29", "web") # .1 is the host, .7 is for all
        seen = [self.strata("run", "--rm", "--network", "web", "box", "hostname", "-i").strip() for _ in range(7)]
        self.assertEqual([address.rsplit(".", 1)[1] for address in seen], ["2", "3", "4", "5", "6", "2", "3"])


    def test_rules_come_back(self):
        """A firewall that is loaded anew takes Strata's rules with it; the next start brings them back."""
        space = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
        self.addCleanup(space.communicate)
        self.addCleanup(space.kill) # the last cleanup is the first
        space.stdout.read(1)
        self.host.prefix = enter = ("nsenter", f"--net=/proc/{space.pid}/ns/net")
        for network in ("web", "db"):
            self.strata("network", "create", network)
            self.start(f"in-{network}", network)
        address = self.address("in-db", "db")
        self.assertEqual(self.fetch("in-web", address, 1), "")
        run(*enter, "python3", "-c", REMOVE_TABLE)
        self.wait_for(lambda: self.fetch("in-web", address) == "in-db\n")
        for network in ("web", "db"):
            self.strata("run", "--rm", "--network", network, "box", "true")
        self.assertEqual(self.fetch("in-web", address, 1), "")


# nft delete table ip strata: a batch of netlink messages (linux/netfilter/nfnetlink.h, nf_tables.h)
REMOVE_TABLE = """
import socket, struct
def message(kind, flags, family, resource, data=b""):
    return struct.pack("=IHHII", 20 + len(data), kind, 1 | flags, 1, 0) + struct.pack("!BBH", family, 0, resource) + data
nftables, table = 10, struct.pack("=HH", 4 + 7, 1) + b"strata\\0\\0"
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
    netlink.send(message(0x10, 0, 0, nftables) + message(nftables << 8 | 2, 4, 2, 0, table) + message(0x11, 0, 0, nftables))
    assert struct.unpack_from("=i", netlink.recv(4096), 16) == (0,)
"""


def resolver_root():
    """A root file system with the C library's resolver, which asks again by TCP where an answer did not fit."""
    entries = [("etc/nsswitch.conf", b"hosts: dns\n"), ("etc/passwd", b"root:x:0:0:root:/:/bin/getent\n")]
    for word in ["/usr/bin/getent", *run("ldd", "/usr/bin/getent").split()]:
        if word.startswith("/"):
            info = tarfile.TarInfo(word[1:])
            info.mode = 0o755
            entries.append((info, Path(word).read_bytes()))
    return tar(*entries)


class NamesByStreams(ContainerTest):
    """RFC 7766: what does not fit into a datagram is asked for again by TCP; and who wants it has it so at once."""
    BY_STREAM = ("-e", "RES_OPTIONS=use-vc")

    def setUp(self):
        super().setUp()
        (self.host / "resolver.tar").write_bytes(resolver_root())
        self.host.strata("import", self.host / "resolver.tar", "resolver")
        self.strata("network", "create", "web")

    def resolve(self, *words, options=(), status=0):
        """Addresses, or names, that the C library finds in a container."""
        done = self.host.start("run", "--rm", "--network", "web", *options, "resolver", "getent", *words)
        lines = done.communicate(timeout=100)[0].splitlines()
        self.assertEqual(done.returncode, status)
        return sorted({line.split()[0 if words[0] == "ahostsv4" else 1] for line in lines})

    def test_names_of_containers(self):
        addresses = start_all(self, 33) # of 16 bytes each: 30 fit into 512
        self.assertEqual(self.resolve("ahostsv4", "all"), addresses)
        self.assertEqual(self.resolve("ahostsv4", "all", options=self.BY_STREAM), addresses)
        self.assertEqual(len(self.resolve("ahostsv4", "n7", options=self.BY_STREAM)), 1)
        self.assertIn(self.resolve("hosts", addresses[0], options=self.BY_STREAM)[0], [f"n{number}.web" for number in range(33)])

    def test_names_of_others(self):
        many = [f"192.0.2.{number}" for number in range(1, 101)]
        with Upstream(many) as upstream:
            options = ("--dns", upstream.address)
            self.assertEqual(self.resolve("ahostsv4", "far.example", options=options), sorted(many))
            self.assertGreater(upstream.streams, 0) # what did not fit was asked for again
            upstream.datagrams = upstream.streams = 0
            self.assertEqual(self.resolve("ahostsv4", "far.example", options=(*options, *self.BY_STREAM)), sorted(many))
            self.assertEqual(upstream.datagrams, 0)
            self.assertGreater(upstream.streams, 0)
            upstream.answers = False
            self.assertEqual(self.resolve("ahostsv4", "farther.example", options=(*options, *self.BY_STREAM), status=2), [])


class Upstream:
    """A name server of this host's, which knows the same addresses for every name, by datagrams and by streams."""
    numbers = itertools.count(53)

    def __init__(self, addresses=("192.0.2.7",)):
        self.answers = True
        self.addresses = addresses
        self.datagrams = self.streams = 0
        self.address = f"127.{next(self.numbers)}.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF or 1}"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 53))
        self.listener = socket.create_server((self.address, 53))

    def __enter__(self):
        for serve in (self.serve_datagrams, self.serve_streams):
            threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR) # else the thread would have it open on
        self.listener.close()
        self.socket.close()

    def answer(self, query, most):
        end = query.index(b"\0", 12) + 5
        is_a = query[end - 4:end - 2] == b"\0\1"
        records = [b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + socket.inet_aton(address) for address in self.addresses if is_a]
        fitting = records[:(most - end) // 16]
        flags = 0x8180 | (0x200 if len(fitting) < len(records) else 0)
        return query[:2] + struct.pack(">5H", flags, 1, len(fitting), 0, 0) + query[12:end] + b"".join(fitting)

    def serve_datagrams(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            self.datagrams += 1
            if self.answers:
                right = self.answer(query, 512)
                wrong = struct.pack(">H", struct.unpack(">H", query[:2])[0] ^ 1) # what others send is not believed
                self.socket.sendto(wrong + right[2:-4] + socket.inet_aton("203.0.113.1"), client)
                self.socket.sendto(right, client)

    def serve_streams(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.streams += 1
            with connection, connection.makefile("rb") as file:
                size = file.read(2)
                if self.answers and len(size) == 2:
                    right = self.answer(file.read(struct.unpack(">H", size)[0]), 65535)
                    connection.sendall(struct.pack(">H", len(right)) + right)


if __name__ == "__main__":
    unittest.main()
