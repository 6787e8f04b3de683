"""The verbs, their order, their errors, and that nothing is left behind."""
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from case import RuntimeTestCase, cgroups, eventually, has_ended, not_in
from oci import new_id


def cgroup_directories(container):
    return [str(p) for p in cgroups(container)]


class LifecycleTestCase(RuntimeTestCase):
    def test_states(self):
        container = self.created(self.bundle("sleep", "1000"))
        state = self.runtime.state(container)
        self.assertEqual((state["status"], state["id"]), ("created", container))
        self.assertTrue(os.path.exists(f"/proc/{state['pid']}"))
        self.runtime("start", container)
        self.assertEqual(self.status(container), "running")
        self.runtime("kill", container, "KILL")
        eventually(lambda: self.status(container) == "stopped", "stopped")
        self.runtime("delete", container)
        self.assertNotEqual(self.runtime("state", container, check=False).returncode, 0)

    def test_state_document(self):
        bundle = self.bundle("true")
        bundle.config["annotations"] = {"org.example.key": "value"}
        container = self.created(bundle)
        state = self.runtime.state(container)
        self.assertEqual(state["annotations"], {"org.example.key": "value"})
        self.assertEqual(os.path.realpath(state["bundle"]), os.path.realpath(bundle.path))
        self.assertIn("ociVersion", state)

    def test_program_does_not_run_before_start(self):
        bundle = self.bundle("touch", "/mark")
        container = self.created(bundle)
        time.sleep(0.2)
        mark = Path(bundle.rootfs, "mark")
        self.assertFalse(mark.exists())
        self.runtime("start", container)
        eventually(mark.exists, "the program's mark")

    def test_wrong_order_is_refused(self):
        container = self.started()
        for verb in (["start", container], ["delete", container], ["resume", container],
                     ["create", "--bundle", self.bundle("true").write(), container]):
            self.assertNotEqual(self.runtime(*verb, check=False).returncode, 0, verb)
        self.assertEqual(self.status(container), "running")
        self.runtime("kill", container, "9")
        eventually(lambda: self.status(container) == "stopped", "stopped")
        self.assertNotEqual(self.runtime("kill", container, "TERM", check=False).returncode, 0)
        self.assertNotEqual(self.runtime("start", container, check=False).returncode, 0)

    def test_delete_of_a_created_container(self):
        container = self.created(self.bundle("true"))
        pid = self.runtime.state(container)["pid"]
        self.runtime("delete", container)
        eventually(lambda: has_ended(pid), "the process's end")

    def test_delete_by_force(self):
        container = self.started()
        self.runtime("delete", "--force", container)
        self.runtime("delete", "--force", container)  # containerd does it twice
        self.runtime("delete", "--force", "never-existed")
        self.assertEqual(cgroup_directories(container), [])

    def test_absent_container(self):
        for verb in ("state", "start", "delete", "pause", "resume", "ps"):
            self.assertNotEqual(self.runtime(verb, "never-existed", check=False).returncode, 0, verb)

    def test_signals(self):
        bundle = self.bundle(script="trap 'echo term > /got; exit 3' TERM; echo > /ready; while :; do sleep 0.05; done")
        for name in ("15", "TERM", "SIGTERM"):
            container = self.started(bundle)
            eventually(Path(bundle.rootfs, "ready").exists, "the trap")
            self.runtime("kill", container, name)
            eventually(lambda: self.status(container) == "stopped", "the end")
            self.assertEqual(Path(bundle.rootfs, "got").read_text(), "term\n")
            Path(bundle.rootfs, "ready").unlink()
            Path(bundle.rootfs, "got").unlink()

    def test_kill_all_without_a_pid_namespace(self):
        bundle = self.bundle(script="sleep 1000 & sleep 1000")
        bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "pid"]
        container = self.started(bundle)
        pids = eventually(lambda: (p := json.loads(self.runtime("ps", "--format", "json", container).stdout)) and len(p) >= 2 and p, "both processes")
        self.runtime("kill", "--all", container, "KILL")
        for pid in pids:
            eventually(lambda: has_ended(pid), "its end")

    def test_pid_file(self):
        bundle = self.bundle("sleep", "1000")
        path = os.path.join(bundle.path, "pid")
        container = self.created(bundle, "--pid-file", path)
        self.assertEqual(int(Path(path).read_text()), self.runtime.state(container)["pid"])

    def test_list_and_ps(self):
        container = self.started()
        listed = json.loads(self.runtime("list", "--format", "json").stdout)
        self.assertEqual([(c["id"], c["status"]) for c in listed], [(container, "running")])
        self.assertIn(container, self.runtime("list").stdout)
        self.assertEqual(self.runtime("list", "--quiet").stdout.split(), [container])
        pids = json.loads(self.runtime("ps", "--format", "json", container).stdout)
        self.assertEqual(pids, [self.runtime.state(container)["pid"]])
        self.assertIn("sleep", self.runtime("ps", container).stdout)

    def test_pause_and_resume(self):
        bundle = self.bundle(script="while :; do date +%s%N > /tick; sleep 0.02; done")
        container = self.started(bundle)
        tick = Path(bundle.rootfs, "tick")
        eventually(tick.exists, "the first tick")
        self.runtime("pause", container)
        self.assertEqual(self.status(container), "paused")
        before = tick.read_text()
        time.sleep(0.3)
        self.assertEqual(tick.read_text(), before)
        self.assertNotEqual(self.runtime("exec", container, "true", check=False).returncode, 0)
        self.runtime("resume", container)
        eventually(lambda: tick.read_text() not in (before, ""), "another tick")
        self.assertEqual(self.status(container), "running")

    def test_paused_container_is_deleted_by_force(self):
        container = self.started()
        self.runtime("pause", container)
        self.runtime("delete", "--force", container)
        self.assertEqual(cgroup_directories(container), [])

    def test_stats(self):
        container = self.started()
        stats = lambda: json.loads(self.runtime("events", "--stats", container).stdout)
        # Threads of runc's own process may still be on their way out of the group.
        eventually(lambda: stats()["data"]["pids"]["current"] == 1, "a single process")
        event = stats()
        self.assertEqual((event["type"], event["id"]), ("stats", container))
        self.assertGreater(event["data"]["memory"]["usage"]["usage"], 0)
        self.assertGreater(event["data"]["cpu"]["usage"]["total"], 0)

    def test_failed_create_leaves_nothing(self):
        bundle = self.bundle("true")
        bundle.config["mounts"].append({"destination": "/x", "type": "no-such-filesystem", "source": "none"})
        container = new_id()
        self.assertNotEqual(self.runtime("create", "--bundle", bundle.write(), container, check=False).returncode, 0)
        self.assertEqual(cgroup_directories(container), [])
        self.assertEqual(os.listdir(self.runtime.root), [])

    def test_run_leaves_nothing(self):
        bundle = self.bundle("true")
        container = new_id()
        self.runtime("run", "--bundle", bundle.write(), container)
        self.assertEqual(cgroup_directories(container), [])
        self.assertEqual([n for n in os.listdir(self.runtime.root) if n == container], [])
        self.assertNotIn(bundle.path, Path("/proc/self/mountinfo").read_text())

    def test_who_gets_orphans(self):
        """Of a container without PIDs of its own: the runtime, while it waits, unless it is not to."""
        for flags in ([], ["--no-subreaper"]):
            bundle = self.bundle(script="sh -c 'sh /orphan $$ &'; until [ -s /parent ]; do sleep 0.01; done; cat /parent")
            bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "pid"]
            Path(bundle.rootfs, "orphan").write_text(
                "parent() { cut -d' ' -f4 /proc/$$/stat; }\n"
                "while [ $(parent) = $1 ]; do sleep 0.01; done; parent > /new; mv /new /parent\n")
            run = subprocess.Popen([*self.runtime.command(), "run", *flags, "--bundle", bundle.write(), new_id()],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            parent = run.communicate(timeout=100)[0]
            self.assertEqual(parent == f"{run.pid}\n", not flags, parent)
            self.assertEqual(run.returncode, 0)

    def test_errors_in_the_log_are_json(self):
        with tempfile.NamedTemporaryFile() as log:
            self.runtime("--log", log.name, "--log-format", "json", "start", "never-existed", check=False)
            entries = [json.loads(line) for line in log.read().splitlines()]
        errors = [entry for entry in entries if entry["level"] == "error"]
        self.assertTrue(errors and all({"level", "msg", "time"} <= set(e) for e in errors))

    def test_what_this_host_lacks(self):
        """Before anything is made, in one line."""
        bundle = self.bundle("true")
        if not Path("/run/systemd/system").exists():
            done = self.runtime("--systemd-cgroup", "run", "--bundle", bundle.write(), new_id(), check=False)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)
            self.assertIn("systemd", done.stderr)
        if " - resctrl " not in Path("/proc/self/mountinfo").read_text():
            bundle.linux["intelRdt"] = {"closID": "gold", "l3CacheSchema": "L3:0=f"}
            done = self.run_bundle(bundle, check=False)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)
            self.assertRegex(done.stderr, "(?i)intel ?rdt")
        self.assertEqual(os.listdir(self.runtime.root), [])

    def test_version_and_features(self):
        self.assertIn("spec: 1.", self.runtime("--version").stdout)


class ExecTestCase(RuntimeTestCase):
    def test_command_line(self):
        container = self.started()
        done = self.runtime("exec", "--env", "A=1", "--cwd", "/tmp", "--user", "1000:1000", container, "sh", "-c",
                            "echo $A; pwd; id -u; exit 5", check=False)
        self.assertEqual((done.stdout.split(), done.returncode), (["1", "/tmp", "1000"], 5))

    def test_process_file(self):
        bundle = self.bundle("sleep", "1000")
        container = self.started(bundle)
        process = dict(bundle.process, args=["sh", "-c", "cat /proc/self/status; hostname"])
        path = Path(bundle.path, "process.json")
        path.write_text(json.dumps(process))
        out = self.runtime("exec", "--process", path, container).stdout
        self.assertIn("NoNewPrivs:\t1", out)
        self.assertTrue(out.endswith("box\n"))

    def test_detached(self):
        bundle = self.bundle("sleep", "1000")
        container = self.started(bundle)
        path = os.path.join(bundle.path, "pid")
        self.assertEqual(self.runtime.quietly("exec", "--detach", "--pid-file", path, container, "sleep", "999").returncode, 0)
        pid = int(Path(path).read_text())
        self.assertEqual(Path(f"/proc/{pid}/cmdline").read_bytes(), b"sleep\0999\0")
        self.assertIn(pid, json.loads(self.runtime("ps", "--format", "json", container).stdout))

    def test_same_namespaces_and_cgroups(self):
        container = self.started()
        first = self.runtime.state(container)["pid"]
        inside = self.runtime("exec", container, "sh", "-c", "for n in pid ipc uts mnt net; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup").stdout
        for name in ("pid", "ipc", "uts", "mnt", "net"):
            self.assertIn(os.readlink(f"/proc/{first}/ns/{name}"), inside)
        self.assertEqual(inside.splitlines()[5:], Path(f"/proc/{first}/cgroup").read_text().splitlines())

    def test_missing_program(self):
        container = self.started()
        done = self.runtime("exec", container, "no-such-program", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no-such-program", done.stderr)
        self.assertEqual(self.status(container), "running")

    def test_stopped_container_is_refused(self):
        container = self.started()
        self.runtime("kill", container, "KILL")
        eventually(lambda: self.status(container) == "stopped", "stopped")
        self.assertNotEqual(self.runtime("exec", container, "true", check=False).returncode, 0)


class HooksTestCase(RuntimeTestCase):
    def hook(self, bundle, kind, script):
        path = Path(bundle.path, f"{kind}.sh")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        bundle.config.setdefault("hooks", {}).setdefault(kind, []).append({"path": str(path)})

    def test_all_in_order_with_the_state(self):
        bundle = self.bundle("true")
        log = Path(bundle.path, "log")
        kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
        for kind in kinds:
            if kind != "startContainer":  # its path is the container's
                self.hook(bundle, kind, f"echo {kind} $(cat) >> {log}")
        script = Path(bundle.rootfs, "start.sh")
        script.write_text("#!/bin/sh\necho startContainer $(cat) > /start-log\n")
        script.chmod(0o755)
        bundle.config["hooks"]["startContainer"] = [{"path": "/start.sh"}]
        container = self.created(bundle)
        self.runtime("start", container)
        eventually(lambda: self.status(container) == "stopped", "stopped")
        self.runtime("delete", container)
        lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
        self.assertEqual([kind for kind, _ in lines], [k for k in kinds if k != "startContainer"])
        states = {kind: json.loads(text) for kind, text in lines}
        for kind, state in states.items():
            self.assertEqual(state["id"], container, kind)
        self.assertGreater(states["createRuntime"]["pid"], 0)
        self.assertEqual(json.loads(Path(bundle.rootfs, "start-log").read_text().split(" ", 1)[1])["id"], container)

    def test_failing_hook_fails_the_create(self):
        for kind in ("prestart", "createRuntime", "createContainer"):
            bundle = self.bundle("true")
            self.hook(bundle, kind, "echo broken >&2; exit 9")
            container = new_id()
            done = self.runtime("create", "--bundle", bundle.write(), container, check=False)
            self.assertNotEqual(done.returncode, 0, kind)
            self.assertEqual(cgroup_directories(container), [], kind)

    def test_timeout(self):
        bundle = self.bundle("true")
        self.hook(bundle, "prestart", "exec sleep 1000")
        bundle.config["hooks"]["prestart"][0]["timeout"] = 1
        self.assertNotEqual(self.runtime("create", "--bundle", bundle.write(), new_id(), check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
