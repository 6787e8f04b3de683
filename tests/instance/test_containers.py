"""Containers as users run them."""
import io
import json
import os
import pty
import select
import signal
import socket
import subprocess
import tarfile
import time
import unittest
from pathlib import Path

from containers import ContainerTest
from tools import run, tar

KILLS = int(os.environ.get("STRATA_KILLS", "25")) # of each kind; a long run has 200


class Running(ContainerTest):
    def test_output_and_exit_code(self):
        self.assertEqual(self.run_box("echo", "hello"), "hello\n")
        self.run_box("sh", "-c", "exit 7", status=7)
        self.assertEqual(self.strata("ps", "-aq"), "")

    def test_streams_stay_apart(self):
        done = subprocess.run([os.environ["STRATA"], "run", "--rm", "--network", "none", "box", "sh", "-c",
                               "echo out; echo err >&2"], env=self.host.environment, capture_output=True, text=True)
        self.assertEqual((done.stdout, done.stderr), ("out\n", "err\n"))

    def test_standard_input(self):
        self.assertEqual(self.run_box("cat", options=["-i"], input="some\ntext"), "some\ntext")
        large = "x" * 1_000_000
        self.assertEqual(self.run_box("wc", "-c", options=["-i"], input=large).strip(), "1000000")
        self.assertEqual(self.run_box("cat"), "") # nothing without -i

    def test_large_output(self):
        self.assertEqual(len(self.run_box("sh", "-c", "yes | head -c 3000000")), 3_000_000)

    def test_programs_that_are_not_there(self):
        self.run_box("no-such-program", status=127)
        self.run_box("/etc/passwd", status=126)
        self.strata("run", "--rm", "--pull", "never", "no-such-image", status=125)
        self.assertEqual(self.strata("ps", "-aq"), "")

    def test_terminal(self):
        master, slave = pty.openpty()
        self.host.write_settings()
        process = subprocess.Popen([os.environ["STRATA"], "run", "-it", "--rm", "--network", "none", "box", "sh"], stdin=slave,
                                   stdout=slave, stderr=slave, env=self.host.environment)
        os.close(slave)
        output = b""

        def expect(text):
            nonlocal output
            while text not in output:
                self.assertTrue(select.select([master], [], [], 60)[0], output)
                output += os.read(master, 4096)
        expect(b"#")
        os.write(master, b"tty; echo $((6*7)); exit 5\n")
        expect(b"/dev/pts/0")
        expect(b"42")
        self.assertEqual(process.wait(60), 5)
        os.close(master)

    def test_identity(self):
        self.assertEqual(self.run_box("id", "-u").strip(), "0")
        self.assertEqual(self.run_box("sh", "-c", "id -u; id -g; id -G; echo $HOME", options=["-u", "user"]).split(),
                         ["1000", "1001", "1001", "2000", "/home/user"])
        self.assertEqual(self.run_box("id", "-u", options=["-u", "77:88"]).strip(), "77")
        self.assertIn("there is no user 'nobody-here'",
                      self.host.refused_with(125, "run", "--rm", "-u", "nobody-here", "--network", "none", "box", "id"))

    def test_init(self):
        self.assertEqual(self.run_box("sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; exit 7", options=["--init"], status=7),
                         "/dev/init -- sh -c cat /proc/1/cmdline | tr '\\0' ' '; exit 7 ")
        self.run_box("no-such-program", options=["--init"], status=127)
        # It passes signals on, and reaps orphans.
        name = self.start_box("sh", "-c", "trap 'exit 5' TERM; (sleep 0.1 &); echo up; while true; do sleep 0.1; done",
                              options=["--init"])
        self.wait_for(lambda: "up" in self.strata("logs", name))
        self.wait_for(lambda: self.strata("exec", name, "sh", "-c", "grep -l '^State:.Z' /proc/[0-9]*/status || true") == "")
        self.strata("stop", name)
        self.assertEqual(self.strata("wait", name).strip(), "5")

    def test_environment_and_directory(self):
        (self.host / "env").write_text("# comment\nFROM_FILE=1\n")
        text = self.run_box("env", options=["-e", "A=b c", "-e", "A=d", "--env-file", self.host / "env", "--hostname", "h"])
        for line in ("A=d", "FROM_FILE=1", "HOSTNAME=h", "HOME=/root"):
            self.assertIn(line + "\n", text)
        self.assertNotIn("A=b", text)
        self.assertEqual(self.run_box("pwd", options=["-w", "/tmp"]).strip(), "/tmp")
        self.assertEqual(self.run_box("hostname", options=["--hostname", "h"]).strip(), "h")

    def test_options_of_the_program_are_its_own(self):
        self.assertEqual(self.run_box("echo", "--rm", "-it", "--help").strip(), "--rm -it --help")

    def test_isolation(self):
        self.assertEqual(self.run_box("sh", "-c", "echo $$").strip(), "1")
        self.assertEqual(self.run_box("sh", "-c", "echo /proc/[0-9]*").strip(), "/proc/1")
        status = self.run_box("cat", "/proc/self/status")
        self.assertIn("CapBnd:\t00000000a80425fb", status) # the fourteen
        self.assertIn("Seccomp:\t2", status)
        self.run_box("sh", "-c", "test ! -s /proc/kcore && ! echo 1 > /proc/sysrq-trigger && ! mount -t tmpfs x /tmp")
        self.run_box("unshare", "-U", "true", status=1)
        self.run_box("ls", "/sys/firmware")

    def test_capabilities(self):
        bounding = lambda *options: self.run_box("grep", "CapBnd", "/proc/self/status", options=options).split()[1]
        self.assertEqual(bounding("--cap-drop", "ALL"), "0000000000000000")
        self.assertEqual(bounding("--cap-drop", "ALL", "--cap-add", "chown"), "0000000000000001")
        self.assertEqual(bounding("--cap-add", "NET_ADMIN"), "00000000a80435fb")
        self.assertIn("no capability", self.host.refused_with(125, "run", "--cap-add", "NONSENSE", "box", "true"))

    def test_read_only_and_tmpfs(self):
        self.run_box("touch", "/x", options=["--read-only"], status=1)
        self.run_box("touch", "/tmp/x", options=["--read-only", "--tmpfs", "/tmp"])
        self.assertIn("size=2048k", self.run_box("grep", "/small", "/proc/mounts", options=["--tmpfs", "/small:size=2m"]))

    def test_limits(self):
        memory = self.run_box("cat", "/proc/self/cgroup")
        self.assertTrue(memory)
        self.assertIn("64", self.run_box("sh", "-c", "ulimit -n", options=["--ulimit", "nofile=64:128"]))
        self.run_box("sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=1", options=["-m", "16m", "--memory-swap", "16m"],
                     status=137)

    def test_files_of_the_host(self):
        (self.host / "data").mkdir()
        (self.host / "data/in").write_text("from the host")
        self.assertEqual(self.run_box("cat", "/data/in", options=["-v", f"{self.host / 'data'}:/data"]), "from the host")
        self.run_box("touch", "/data/x", options=["-v", f"{self.host / 'data'}:/data:ro"], status=1)
        self.run_box("touch", "/data/y", options=["--mount", f"type=bind,source={self.host / 'data'},target=/data"])
        self.assertTrue((self.host / "data/y").exists())
        self.host.refused_with(125, "run", "--mount", "type=bind,source=/no/such/place,target=/x", "box", "true")

    def test_volumes(self):
        self.run_box("sh", "-c", "echo kept > /v/file", options=["-v", "things:/v"])
        self.assertEqual(self.run_box("cat", "/v/file", options=["-v", "things:/v"]), "kept\n")
        self.assertEqual(self.run_box("ls", "/v", options=["-v", "etc:/v"]), "")
        self.assertEqual(self.run_box("cat", "/etc/kept", options=["-v", "copy:/etc"]), "image\n") # begins with the image's
        self.assertEqual(self.strata("volume", "ls", "-q").split(), ["copy", "etc", "things"])
        name = self.start_box("sleep", "1000", options=["-v", "things:/v"])
        self.assertIn("is used by container", self.host.refused("volume", "rm", "things"))
        self.strata("rm", "-f", name)
        self.strata("volume", "rm", "things")

    def test_a_directory_as_root(self):
        (self.host / "root").mkdir()
        run("tar", "-C", self.host / "root", "-xf", self.host / "root.tar")
        self.assertEqual(self.strata("run", "--rm", "--network", "none", "--rootfs", self.host / "root", "cat", "/etc/kept"),
                         "image\n")

    def test_image_stays_as_it_is(self):
        self.run_box("sh", "-c", "echo changed > /etc/kept; rm /bin/ls")
        self.assertEqual(self.run_box("cat", "/etc/kept"), "image\n")
        self.run_box("ls", "/")


class Living(ContainerTest):
    def test_start_stop_and_logs(self):
        name = self.start_box("sh", "-c", "echo one; echo two >&2; trap 'echo bye; exit 3' TERM; while true; do sleep 0.1; done",
                              options=["--name", "it"])
        self.assertEqual(len(name), 64)
        self.wait_for(lambda: "one" in self.strata("logs", "it"))
        self.assertEqual(self.state_of(name), "running")
        self.strata("stop", "it")
        self.assertEqual(self.state_of(name), "exited")
        self.assertEqual(self.strata("wait", "it").strip(), "3")
        self.assertIn("bye", self.strata("logs", "it"))
        self.assertIn("Exited (3)", self.strata("ps", "-a"))
        self.strata("start", "it")
        self.assertEqual(self.state_of(name), "running")
        self.strata("kill", "it")
        self.assertEqual(self.strata("wait", "it").strip(), "137")
        self.strata("rm", "it")
        self.assertEqual(self.strata("ps", "-aq"), "")

    def test_exec(self):
        name = self.start_box("sleep", "1000", options=["-e", "A=b"])
        self.assertEqual(self.strata("exec", name, "sh", "-c", "echo $A; hostname").split(), ["b", name[:12]])
        self.strata("exec", name, "sh", "-c", "exit 9", status=9)
        self.assertEqual(self.strata("exec", "-i", name, "cat", input="through"), "through")
        self.assertEqual(self.strata("exec", "-u", "user", "-w", "/tmp", "-e", "C=d", name, "sh", "-c", "id -u; pwd; echo $C").split(),
                         ["1000", "/tmp", "d"])
        self.strata("exec", "-d", name, "sh", "-c", "echo > /done")
        self.strata("exec", name, "sh", "-c", "while [ ! -e /done ]; do sleep 0.05; done")
        self.assertIn("does not run", self.host.refused("exec", self.strata("create", "box").strip(), "true"))

    def test_pause(self):
        name = self.start_box("sleep", "1000")
        self.strata("pause", name)
        self.assertEqual(self.state_of(name), "paused")
        self.assertIn("paused", self.host.refused("exec", name, "true"))
        self.strata("unpause", name)
        self.assertEqual(self.strata("exec", name, "echo", "again"), "again\n")

    def test_attach(self):
        name = self.start_box("sh", "-c", "read line; echo got $line; exit 4", options=["-i"])
        self.assertIn("got word", self.strata("attach", name, input="word\n", status=4))

    def test_copies(self):
        name = self.start_box("sleep", "1000")
        (self.host / "in").write_text("inward")
        self.strata("cp", self.host / "in", f"{name}:/tmp/")
        self.assertEqual(self.strata("exec", name, "cat", "/tmp/in"), "inward")
        self.strata("exec", name, "sh", "-c", "mkdir -p /d/e; echo outward > /d/e/f; ln -s /etc/shadow /d/link; ln -s / /d/up")
        self.strata("cp", f"{name}:/d", self.host / "out")
        self.assertEqual((self.host / "out/e/f").read_text(), "outward\n")
        self.assertTrue((self.host / "out/link").is_symlink())
        self.assertIn("No such file", self.host.refused("cp", f"{name}:/d/link", self.host / "shadow")) # the container's own
        self.strata("stop", "-t", "0", name)
        self.strata("cp", f"{name}:/d/e/f", self.host / "stopped")
        self.assertEqual((self.host / "stopped").read_text(), "outward\n")

    def test_copies_as_archives(self):
        name = self.start_box("sleep", "1000")
        archive = tar(("d/e", b"inward"), (".wh.name", b"a file like others"))
        self.strata("cp", "-", f"{name}:/tmp", input=archive, text=False)
        self.assertEqual(self.strata("exec", name, "cat", "/tmp/d/e", "/tmp/.wh.name"), "inwarda file like others")
        for path, names in (("/tmp/d", ["d", "d/e"]), ("/tmp/d/.", ["e"]), ("/tmp/d/e", ["e"])):
            with tarfile.open(fileobj=io.BytesIO(self.strata("cp", f"{name}:{path}", "-", text=False))) as written:
                self.assertEqual(written.getnames(), names)
        self.assertIn("No such file", self.host.refused("cp", f"{name}:/absent/x", "-"))
        self.strata("exec", name, "ln", "-s", "/etc", "/out") # the container's own
        self.strata("cp", "-", f"{name}:/out", input=tar(("added", b"there")), text=False)
        self.assertEqual(self.strata("exec", name, "cat", "/etc/added"), "there")
        self.assertFalse(Path("/etc/added").exists())

    def test_diff_commit_and_export(self):
        name = self.strata("run", "-d", "--network", "none", "box", "sh", "-c",
                           "echo new > /tmp/new; rm /etc/kept; echo more >> /etc/passwd").strip()
        self.strata("wait", name)
        changes = self.strata("diff", name).splitlines()
        for line in ("A /tmp/new", "D /etc/kept", "C /etc/passwd", "C /etc"):
            self.assertIn(line, changes)
        self.strata("commit", "-c", 'CMD ["cat", "/tmp/new"]', name, "box:mine")
        self.assertEqual(self.strata("run", "--rm", "--network", "none", "box:mine"), "new\n")
        self.strata("run", "--rm", "--network", "none", "box:mine", "test", "!", "-e", "/etc/kept")
        self.strata("export", "-o", self.host / "flat.tar", name)
        with tarfile.open(self.host / "flat.tar") as archive:
            self.assertIn("tmp/new", archive.getnames())
            self.assertNotIn("etc/kept", archive.getnames())

    def test_names(self):
        self.strata("create", "--name", "one", "box")
        self.assertIn("is used by container", self.host.refused_with(1, "create", "--name", "one", "box"))
        self.strata("rename", "one", "two")
        self.assertEqual(self.strata("ps", "-a", "--format", "{{.Names}}").strip(), "two")
        self.assertIn("no container 'one'", self.host.refused("start", "one"))
        self.assertIn("is no name", self.host.refused("rename", "two", "a/b"))

    def test_images_of_containers_stay(self):
        name = self.start_box("sleep", "1000")
        self.strata("rmi", "-f", "box")
        self.strata("prune", "-a", "-f")
        self.assertEqual(self.strata("exec", name, "cat", "/etc/kept"), "image\n")
        self.strata("restart", "-t", "0", name)
        self.assertEqual(self.strata("exec", name, "cat", "/etc/kept"), "image\n")

    def test_restart_policy(self):
        name = self.start_box("sh", "-c", "echo run; exit 1", options=["--restart", "on-failure:2"])
        self.wait_for(lambda: self.strata("logs", name).count("run") == 3 and self.state_of(name) == "exited")
        forever = self.start_box("sh", "-c", "echo run; sleep 0.1", options=["--restart", "always"])
        self.wait_for(lambda: self.strata("logs", forever).count("run") > 2)
        self.strata("stop", "-t", "0", forever)
        self.assertEqual(self.state_of(forever), "exited")

    def test_log_rotation(self):
        name = self.strata("run", "-d", "--network", "none", "--log-opt", "max-size=4k", "--log-opt", "max-file=2", "box", "sh", "-c",
                           "for i in $(seq 1000); do echo line $i; done").strip()
        self.strata("wait", name)
        text = self.strata("logs", name)
        self.assertTrue(text.endswith("line 1000\n"))
        self.assertNotIn("line 1\n", text)
        self.assertEqual(self.strata("logs", "--tail", "2", name), "line 999\nline 1000\n")
        files = sorted(path.name for path in (self.host / f"state/containers/{name}").glob("log.json*"))
        self.assertEqual(files, ["log.json", "log.json.1"])

    def test_followed_logs(self):
        name = self.start_box("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
        self.assertEqual(self.strata("logs", "-f", name), "1\n2\n3\n")

    def test_inspection(self):
        name = self.start_box("sleep", "1234", options=["-v", "data:/data:ro", "-m", "64m", "-l", "team=web", "--restart", "on-failure:3",
                                                        "--init", "--name", "it"])
        shown = json.loads(self.strata("inspect", "it"))[0]
        self.assertEqual((shown["Id"], shown["Name"], shown["Path"], shown["Args"]), (name, "/it", "sleep", ["1234"]))
        self.assertEqual((shown["State"]["Status"], shown["State"]["Running"]), ("running", True))
        self.assertIn("sleep", Path(f"/proc/{shown['State']['Pid']}/cmdline").read_text())
        self.assertEqual(shown["HostConfig"]["Memory"], 64 << 20)
        self.assertEqual(shown["HostConfig"]["RestartPolicy"], {"Name": "on-failure", "MaximumRetryCount": 3})
        self.assertEqual(shown["Config"]["Labels"], {"team": "web"})
        self.assertEqual([(m["Type"], m["Name"], m["Destination"], m["RW"]) for m in shown["Mounts"]], [("volume", "data", "/data", False)])
        self.assertTrue(Path(shown["Mounts"][0]["Source"]).is_dir())
        image = self.strata("inspect", "--type", "image", "-f", "{{.Id}}", "box").strip()
        self.assertEqual(image, shown["Image"])
        self.strata("stop", "-t", "0", name)
        self.assertEqual(self.strata("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "it").strip(), "exited 0")
        self.assertIn("neither a container nor an image", self.host.refused("inspect", "absent"))
        self.assertIn("no container 'box'", self.host.refused("inspect", "--type", "container", "box"))

    def test_top(self):
        name = self.start_box("sleep", "1234")
        self.assertIn("sleep 1234", self.strata("top", name))
        self.assertEqual(self.strata("ps", "-q").strip(), name[:12])
        self.assertEqual(self.strata("ps", "--filter", "status=exited", "-q"), "")

    def test_monitor_is_small(self):
        monitor = self.monitor_of(self.start_box("sleep", "1000"))
        lines = Path(f"/proc/{monitor}/smaps_rollup").read_text().splitlines()[1:]
        kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        self.assertLess(kib["Private_Clean"] + kib["Private_Dirty"], 1536)
        self.assertLess(kib["Pss"], 2048) # with its share of the C library

    def test_limits_change(self):
        name = self.start_box("sleep", "1000", options=["-m", "64m"])
        self.strata("update", "--memory", "32m", "--memory-swap", "32m", "--pids-limit", "50", name)
        pids = next((Path(root, "pids.max") for root, _, files in os.walk("/sys/fs/cgroup") if os.path.basename(root) == name and "pids.max" in files), None)
        self.assertIsNotNone(pids)
        self.assertEqual(pids.read_text().strip(), "50")


class Killed(ContainerTest):
    """Processes that die at any instant; the next one reads the truth."""

    def test_monitors(self):
        name = self.start_box("sleep", "1000")
        monitor = self.monitor_of(name)
        os.kill(monitor, signal.SIGKILL)
        self.assertEqual(self.state_of(name), "running") # it goes on
        self.assertEqual(self.strata("exec", name, "echo", "alive"), "alive\n")
        self.strata("stop", "-t", "0", name)
        self.assertEqual(self.state_of(name), "exited")
        self.strata("start", name)
        self.assertEqual(self.state_of(name), "running")
        self.assertNotIn(name, Path("/proc/mounts").read_text())

    def test_users_of_a_terminal(self):
        process = self.host.start("run", "--network", "none", "--name", "it", "box", "sh", "-c", "echo up; sleep 1000")
        self.wait_for(lambda: "up" in process.stdout.readline())
        process.kill()
        process.communicate()
        self.assertIn("Up", self.strata("ps"))

    def test_random_kills(self):
        for number in range(KILLS):
            self.kill_after(number % 25 / 40, "run", "--rm", "--network", "none", "box", "true")
        self.wait_for(lambda: self.strata("ps", "-q") == "")
        for line in self.strata("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}").splitlines():
            name, state = line.split()
            self.assertIn(state, ("created", "exited"))
            self.strata("rm", "-f", name)
        self.assertEqual(self.run_box("echo", "well"), "well\n")
        self.strata("prune", "-f")
        # The monitors of those that ran may still be removing them.
        self.wait_for(lambda: self.strata("ps", "-aq") == "" and not any((self.host / "state/containers").iterdir()))
        self.assertEqual(list((self.host / "store/pins").iterdir()), [])
        self.assertEqual(list((self.host / "state/unfinished").iterdir()), [])

    def kill_after(self, seconds, *arguments):
        process = self.host.start(*arguments)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()

    def test_random_kills_of_monitors_and_removals(self):
        kept = self.start_box("sleep", "1000", options=["-v", "kept:/v"])
        names = []
        for number in range(KILLS // 2):
            name = self.start_box("sleep", ("1000", "0.02")[number % 2], options=["--rm"] if number % 3 == 0 else [])
            names.append(name)
            time.sleep(number % 5 / 100)
            monitor = self.monitor_of(name)
            if monitor is not None:
                try:
                    os.kill(monitor, signal.SIGKILL)
                except ProcessLookupError:
                    pass # its container had ended
            self.kill_after(number % 7 / 50, "rm", "-f", name)
        self.remove_all_of(names)
        self.assertEqual(self.strata("ps", "-aq", "--no-trunc").split(), [kept])
        self.assertEqual(self.strata("exec", kept, "echo", "alive"), "alive\n")
        self.strata("rm", "-f", kept)
        # The runtime goes on with what those who were killed had called it for.
        for place in ("state/containers", "state/unfinished", "state/run/oci", "store/pins"):
            self.wait_for(lambda: not any((self.host / place).iterdir()))
        self.wait_for(lambda: not any({kept, *names} & set(folders) for _, folders, _ in os.walk("/sys/fs/cgroup")))
        self.assertEqual(self.strata("volume", "ls", "-q").split(), ["kept"])

    def test_concurrent_runs(self):
        runs = [self.host.start("run", "--rm", "--network", "none", "box", "echo", str(i)) for i in range(8)]
        for i, process in enumerate(runs):
            output, errors = process.communicate(timeout=100)
            self.assertEqual((process.returncode, output, errors), (0, f"{i}\n", ""))
        self.assertEqual(self.strata("ps", "-aq"), "")


class NetworkModes(ContainerTest):
    def test_none_and_host(self):
        self.assertEqual(self.run_box("ls", "/sys/class/net").split(), ["lo"])
        mine = sorted(path.name for path in Path("/sys/class/net").iterdir() if path.name != "bonding_masters")
        seen = self.strata("run", "--rm", "--network", "host", "box", "ls", "/sys/class/net").split()
        self.assertTrue(set(mine) & set(seen))

    def test_bridge(self):
        server = self.strata("run", "-d", "box", "sh", "-c", "echo served > /tmp/index.html; httpd -f -p 80 -h /tmp").strip()
        address = self.strata("exec", server, "sh", "-c", "ip -4 addr show eth0 | grep -o 'inet [0-9.]*' | cut -c6-").strip()
        self.assertEqual(self.strata("inspect", "-f", "{{.NetworkSettings.IPAddress}}", server).strip(), address)
        fetch = f"until wget -q -O - http://{address}/index.html; do sleep 0.1; done"
        self.assertEqual(self.strata("run", "--rm", "box", "sh", "-c", fetch), "served\n")
        self.assertIn(address, self.strata("exec", server, "cat", "/etc/hosts"))
        if Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").read_text() == "0\n":
            six = self.strata("exec", server, "sh", "-c", "ip -6 addr show eth0 | grep -o 'fd[0-9a-f:]*' | head -1").strip()
            self.assertIn(f"{six}\t", self.strata("exec", server, "cat", "/etc/hosts"))
            self.assertEqual(self.strata("run", "--rm", "box", "wget", "-q", "-O", "-", f"http://[{six}]/index.html"), "served\n")
            self.assertEqual(run("curl", "-sf", f"http://[{six}]/index.html"), "served\n") # from the host
        # The network of another container:
        self.assertEqual(self.strata("run", "--rm", "--network", f"container:{server}", "box", "wget", "-q", "-O", "-",
                                     "http://127.0.0.1/index.html"), "served\n")

    def test_published_ports(self):
        server = self.strata("run", "-d", "-p", "127.0.0.1::80", "box", "sh", "-c",
                             "echo served > /tmp/index.html; httpd -f -p 80 -h /tmp").strip()
        self.strata("exec", server, "sh", "-c", "until wget -q -O /dev/null http://127.0.0.1/index.html; do sleep 0.1; done")
        place = self.strata("port", server).split(" -> ")[1].strip()
        self.assertTrue(place.startswith("127.0.0.1:"))
        self.assertEqual(run("curl", "-sf", f"http://{place}/index.html"), "served\n")
        self.strata("rm", "-f", server)
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(("127.0.0.1", int(place.split(":")[1]))), 0)

    def test_nothing_is_left(self):
        name = self.strata("run", "-d", "box", "sleep", "1000").strip()
        device = Path(f"/sys/class/net/st{name[:12]}")
        self.assertTrue(device.exists())
        self.strata("rm", "-f", name)
        self.wait_for(lambda: not device.exists()) # the command does not wait for the kernel
        self.strata("run", "--rm", "--cidfile", self.host / "id", "box", "true")
        self.wait_for(lambda: not Path(f"/sys/class/net/st{(self.host / 'id').read_text()[:12]}").exists())

    def test_what_is_free_at_once(self):
        """When `run --rm` returns, the next one may have all that it had."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = ("--rm", "--name", "one", "-p", f"127.0.0.1:{port}:80", "-v", "kept:/v")
        for _ in range(5):
            self.strata("run", *options, "box", "true")
            self.assertEqual(self.strata("ps", "-aq"), "")
            self.assertEqual(list((self.host / "state/containers").iterdir()), [])
            self.assertEqual(list((self.host / "state/run/oci").iterdir()), [])
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
            self.strata("volume", "rm", "kept")


if __name__ == "__main__":
    unittest.main()
