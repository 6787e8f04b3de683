"""Processes killed at any instant, again and again: the next one reads the truth, nothing is lost, nothing is left.
STRATA_KILLS says how often; script/kills makes a long run of it."""
import os
import random
import signal
import subprocess
import time
import unittest
from pathlib import Path

from containers import ContainerTest
from tools import Image, ScriptedRegistry, digest, tar

KILLS = int(os.environ.get("STRATA_KILLS", "40"))
SEED = int(os.environ.get("STRATA_SEED", "1"))


class Kills(ContainerTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.image = Image(tar(("a", b"one" * 100_000)), tar(("b", os.urandom(200_000))))

    def processes(self, *names):
        """This test's processes of these names, or all."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                comm = (place / "comm").read_text().strip()
                if comm.startswith("strata") and str(self.host.directory) in (place / "environ").read_text() and \
                        (not names or comm in names):
                    found.append(int(place.name))
            except OSError:
                pass # it ended meanwhile
        return found

    @staticmethod
    def kill(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass # it ended meanwhile

    def kill_after(self, longest, *arguments):
        process = self.host.start(*arguments)
        try:
            process.wait(self.random.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()

    def kill_a_run(self, registry):
        self.kill_after(0.15, "run", "--rm", "--network", "none", "box", "true")

    def kill_a_pull(self, registry):
        self.kill_after(0.1, "pull", registry)
        if self.random.random() < 0.3:
            self.kill_after(0.1, "rmi", registry)

    # While it makes its container, too.
    def kill_a_monitor(self, registry):
        name = f"c{self.random.randrange(10**9)}"
        options = self.random.choice(([], ["--rm"], ["-v", "kept:/v"], ["--restart", "always"]))
        run = self.host.start("run", "-d", "--name", name, "--network", "none", *options, "box", "sleep",
                              self.random.choice(("1000", "0.05")))
        time.sleep(self.random.uniform(0, 0.15))
        kept = self.monitor_of(self.kept) if self.random.random() < 0.8 else None # else it gets another one
        for monitor in self.processes("strata-monitor"):
            if monitor != kept:
                self.kill(monitor)
        run.communicate()
        if self.random.random() < 0.5:
            self.remove_all_of([name])
        else:
            self.kill_after(0.1, "rm", "-f", name)

    def test_monitor_of_one_that_is_to_be_removed(self):
        name = self.start_box("sleep", "1000", options=["--rm", "-v", "/v"])
        self.kill(self.monitor_of(name))
        self.assertEqual(self.state_of(name), "running")
        self.strata("kill", name)
        # The monitor that state_of() gave it removes it: first from the list, then what belongs to it.
        self.wait_for(lambda: self.strata("ps", "-aq") == "")
        self.wait_for(lambda: self.strata("volume", "ls", "-q") == "")
        self.wait_for(lambda: not any((self.host / "state/containers").iterdir()))

    def test_monitor_while_the_runtime_makes_its_container(self):
        slow = self.host / "slow-runtime"
        slow.write_text(f"""#!/bin/sh
case " $* " in *" create "*) touch {self.host / "making"}; while [ ! -e {self.host / "go"} ]; do sleep 0.05; done;; esac
exec {os.environ["STRATA_RUNTIME"]} "$@"
""")
        slow.chmod(0o755)
        self.host.environment["STRATA_RUNTIME"] = str(slow)
        run = self.host.start("run", "-d", "--name", "it", "--network", "none", "box", "sleep", "1000")
        self.wait_for((self.host / "making").exists)
        self.kill(min(self.processes("strata-monitor"))) # the other one is its child, which goes on
        removal = self.host.start("rm", "-f", "it")
        time.sleep(0.2) # it waits for the runtime, which does not know
        (self.host / "go").touch()
        self.assertEqual(removal.communicate(timeout=100), ("it\n", ""))
        self.assertIn("was killed before its program ran", run.communicate(timeout=100)[1])
        self.assertEqual(list((self.host / "state/run/oci").glob("*")), [])
        self.wait_for(lambda: not self.processes())

    def test_anything_at_any_time(self):
        self.kept = self.start_box("sleep", "1000", options=["--name", "kept", "-v", "kept:/v"])
        self.strata("exec", "kept", "sh", "-c", "echo kept > /v/file")
        with ScriptedRegistry(image=self.image) as registry:
            name = f"{registry.address}/app:1"
            for number in range(KILLS):
                (self.kill_a_run, self.kill_a_monitor, self.kill_a_pull)[number % 3](name)
            self.check_what_is_kept(name)
        self.check_that_nothing_is_left()

    def check_what_is_kept(self, name):
        self.assertEqual(self.strata("exec", "kept", "cat", "/v/file"), "kept\n")
        self.assertEqual(self.run_box("cat", "/v/file", options=["-v", "kept:/v"]), "kept\n")
        self.strata("pull", name)
        self.assertIn("box:latest", self.host.images())
        for blob in self.host.blobs():
            content = (self.host.store / "blobs/sha256" / blob.split(":")[1]).read_bytes()
            self.assertEqual(digest(content), blob)
        self.assertEqual(self.strata("volume", "ls", "-q").split(), ["kept"])

    def check_that_nothing_is_left(self):
        # One that was to be removed at its end goes by itself: with its monitor, or by the next command.
        self.wait_for(lambda: not self.any_was_to_be_removed())
        names = self.strata("ps", "-aq", "--no-trunc").split()
        self.assertIn(self.kept, names)
        self.remove_all_of(names)
        self.assertEqual(self.strata("ps", "-aq"), "")
        self.strata("prune", "-f")
        # The runtime goes on with what those who were killed had called it for.
        for place in ("state/containers", "state/unfinished", "state/run/oci", "store/pins"):
            self.wait_for(lambda: not any((self.host / place).iterdir()))
        self.wait_for(lambda: not self.processes())
        self.wait_for(lambda: not any({*names} & set(folders) for _, folders, _ in os.walk("/sys/fs/cgroup")))
        self.assertEqual(self.host.leftovers(), [])
        self.assertNotIn(str(self.host.directory), Path("/proc/mounts").read_text())

    def any_was_to_be_removed(self):
        names = self.strata("ps", "-aq", "--filter", "status=exited").split()
        inspect = self.host.start("inspect", "-f", "{{.HostConfig.AutoRemove}} {{.State.Status}}", "kept", *names)
        return "true exited\n" in inspect.communicate(timeout=100)[0].splitlines(keepends=True) # some may be gone by now


if __name__ == "__main__":
    unittest.main()
