"""Containers whose monitor was killed: the next command that meets them gives them another one."""
import os
import select
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

from containers import ContainerTest

# A kernel tells how a process ended that is another's child from 6.15 on; before, unless it is asked in time, 137 is taken.
KERNEL = tuple(int(part) for part in os.uname().release.split(".")[:2])
SEVEN = {7} if KERNEL >= (6, 15) else {7, 137}
SERVER = "echo served > /tmp/index.html; httpd -p 80 -h /tmp; "


class Terminal:
    """A command of strata's at a terminal."""
    def __init__(self, host, *words):
        self.master, slave = os.openpty()
        self.seen = b""
        self.process = subprocess.Popen([os.environ["STRATA"], *words], stdin=slave, stdout=slave, stderr=slave, env=host.environment)
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, text):
        while text.encode() not in self.seen:
            if not select.select([self.master], [], [], 100)[0]:
                raise AssertionError(self.seen)
            self.seen += os.read(self.master, 4096)


class Adoption(ContainerTest):
    def kill_monitor(self, name):
        monitor = self.monitor_of(name)
        os.kill(monitor, signal.SIGKILL)
        self.wait_for(lambda: not Path(f"/proc/{monitor}").exists())

    def serves(self, place):
        done = subprocess.run(["curl", "-sf", "--max-time", "5", f"http://{place}/index.html"], capture_output=True, text=True)
        return done.stdout == "served\n"

    def test_output_goes_on(self):
        name = self.start_box("sh", "-c", "n=0; while [ ! -e /tmp/end ]; do n=$((n+1)); echo $n; echo $n >&2; sleep 0.02; done; exit 7")
        self.wait_for(lambda: "3\n" in self.strata("logs", name))
        self.kill_monitor(name)
        lines = len(self.strata("logs", name).splitlines()) # which gives it another monitor
        self.wait_for(lambda: len(self.strata("logs", name).splitlines()) > lines + 5)
        attached = self.host.start("attach", name)
        self.assertNotEqual(attached.stdout.readline(), "")
        waiting = self.host.start("wait", name)
        self.strata("exec", name, "touch", "/tmp/end")
        attached.communicate(timeout=100)
        self.assertIn(attached.returncode, SEVEN)
        self.assertEqual(waiting.communicate(timeout=100), (f"{attached.returncode}\n", ""))
        self.assertEqual(self.strata("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name), f"exited {attached.returncode}\n")

    def test_nothing_is_lost_that_was_written_meanwhile(self):
        name = self.start_box("sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.02; done; seq 1 5000; touch /tmp/done; sleep 1000")
        root = Path(f"/proc/{self.strata('inspect', '-f', '{{.State.Pid}}', name).strip()}/root/tmp")
        self.kill_monitor(name)
        (root / "go").touch() # no command of strata's: nobody reads until there is one
        self.wait_for((root / "done").exists)
        self.wait_for(lambda: self.strata("logs", name).split() == [str(i) for i in range(1, 5001)])

    def keepers(self):
        return [place for place in Path("/proc").glob("[0-9]*/comm") if self.is_keeper(place)]

    def is_keeper(self, place):
        try:
            return place.read_text() == "strata-terminal\n" and str(self.host.directory) in (place.parent / "environ").read_text()
        except OSError:
            return False # it ended

    def test_a_terminal_goes_on(self):
        name = self.start_box("sh", "-c", "n=0; while read word; do n=$((n + 1)); echo $n-$word; done; exit 7", options=["-it"])
        with Terminal(self.host, "attach", name) as terminal:
            terminal.type("one\n")
            terminal.expect("1-one")
            self.kill_monitor(name)
        self.assertEqual(self.state_of(name), "running")
        with Terminal(self.host, "attach", name) as terminal:
            terminal.type("two\n")
            terminal.expect("2-two")
            self.kill_monitor(name)
        with Terminal(self.host, "attach", name) as terminal: # and again
            terminal.type("three\n")
            terminal.expect("3-three")
            self.assertEqual(len(self.keepers()), 1)
            terminal.type("\x04")
            self.assertIn(terminal.process.wait(100), SEVEN)
        self.wait_for(lambda: not self.keepers())

    def test_restart_policy_and_health(self):
        name = self.start_box("sh", "-c", "while [ ! -e /tmp/end ]; do sleep 0.02; done; rm /tmp/end; exit 9", options=[
            "--restart", "on-failure", "--health-cmd", "test -e /tmp/well", "--health-interval", "100ms"])
        self.kill_monitor(name)
        self.strata("exec", name, "touch", "/tmp/well")
        self.wait_for(lambda: self.strata("inspect", "-f", "{{.State.Health.Status}}", name) == "healthy\n")
        self.strata("exec", name, "touch", "/tmp/end")
        self.wait_for(lambda: self.strata("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", name) == "1 running\n")
        self.strata("exec", name, "test", "-e", "/tmp/well") # its files are there
        self.assertNotIn(name, Path("/proc/mounts").read_text())

    def test_published_ports_of_a_user_network(self):
        name = self.strata("run", "-d", "--network", "user", "-p", "127.0.0.1::80", "box", "sh", "-c", SERVER + "sleep 1000").strip()
        place = self.strata("port", name).split(" -> ")[1].strip()
        self.wait_for(lambda: self.serves(place))
        self.kill_monitor(name)
        self.assertEqual(self.strata("port", name).split(" -> ")[1].strip(), place)
        self.wait_for(lambda: self.serves(place))
        self.assertIn("10.0.2.15", self.strata("exec", name, "ip", "addr"))

    def test_one_whose_program_never_began(self):
        slow = self.host / "slow-runtime"
        slow.write_text(f"""#!/bin/sh
case " $* " in *" start "*) touch {self.host / "made"}; while [ ! -e {self.host / "go"} ]; do sleep 0.05; done; exit 1;; esac
exec {os.environ["STRATA_RUNTIME"]} "$@"
""")
        slow.chmod(0o755)
        self.host.environment["STRATA_RUNTIME"] = str(slow)
        starting = self.host.start("run", "-d", "--name", "it", "--network", "none", "box", "sleep", "1000")
        self.wait_for((self.host / "made").exists)
        self.host.environment["STRATA_RUNTIME"] = os.environ["STRATA_RUNTIME"]
        name = next((self.host / "state/containers").iterdir()).name
        self.kill_monitor(name)
        self.assertIn("was killed before its program ran", starting.communicate(timeout=100)[1])
        self.assertEqual(self.state_of(name), "exited")
        self.strata("start", "it")
        self.assertEqual(self.state_of(name), "running")
        (self.host / "go").touch()

    def test_published_ports_of_a_bridge(self):
        name = self.strata("run", "-d", "-p", "127.0.0.1::80", "box", "sh", "-c", SERVER + "sleep 1000").strip()
        place = self.strata("port", name).split(" -> ")[1].strip()
        self.wait_for(lambda: self.serves(place))
        self.kill_monitor(name)
        self.assertEqual(self.state_of(name), "running")
        self.wait_for(lambda: self.serves(place))

    def test_one_to_be_removed_whose_run_was_killed_before_its_start(self):
        slow = self.host / "slow-monitor"
        slow.mkdir()
        shutil.copy(os.environ["STRATA"], slow)
        (slow / "strata-monitor").write_text(f"#!/bin/sh\necho $$ > {slow / 'pid'}\nexec sleep 60 >/dev/null 2>&1\n")
        (slow / "strata-monitor").chmod(0o755)
        process = subprocess.Popen([slow / "strata", "run", "--rm", "--network", "none", "box", "true"],
                                   env=self.host.environment, stdin=subprocess.DEVNULL)
        self.wait_for(lambda: "Created" in self.strata("ps", "-a"))
        self.wait_for(lambda: (slow / "pid").exists() and (slow / "pid").read_text().endswith("\n"))
        process.kill()
        process.wait()
        os.kill(int((slow / "pid").read_text()), signal.SIGKILL)
        self.assertEqual(self.strata("ps", "-aq"), "")
        for place in ("containers", "unfinished"):
            self.assertEqual(list((self.host / "state" / place).iterdir()), [])

    def test_removal_of_what_is_gone(self):
        name = self.start_box("sleep", "1000")
        self.assertEqual(self.strata("rm", "-f", "absent", name), f"{name}\n")
        self.assertIn("no container", self.host.refused("rm", "absent"))


if __name__ == "__main__":
    unittest.main()
