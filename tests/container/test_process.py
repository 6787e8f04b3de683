"""What the process of a container is given: program, user, privileges, limits, streams."""
import array
import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from case import RuntimeTestCase, eventually, not_in


def status_field(text, name):
    return next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith(name + ":"))


class ProgramTestCase(RuntimeTestCase):
    def test_output_and_exit_status(self):
        done = self.run_bundle(self.bundle(script="echo out; echo err >&2; exit 7"), check=False)
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("out\n", "err\n", 7))

    def test_standard_input(self):
        container = self.bundle("cat")
        read, write = os.pipe()
        os.write(write, b"through\n")
        os.close(write)
        self.assertEqual(self.output(container, stdin=read), "through\n")
        os.close(read)

    def test_death_by_signal(self):
        # The first process of a pid namespace is spared its own signals, so a child dies, and the shell tells.
        self.assertEqual(self.run_bundle(self.bundle(script="sh -c 'kill -9 $$'; exit $?"), check=False).returncode, 137)

    def test_environment_and_directory(self):
        bundle = self.bundle(script="pwd; env | sort")
        bundle.process["env"] += ["A=1", "B=with space"]
        bundle.process["cwd"] = "/made/for/it"
        lines = self.output(bundle).splitlines()
        self.assertEqual(lines[0], "/made/for/it")
        for expected in ("A=1", "B=with space", "HOME=/root"):
            self.assertIn(expected, lines)

    def test_hostname(self):
        self.assertEqual(self.output(self.bundle("hostname")), "box\n")

    @not_in(runc="domainname came with 1.2")
    def test_domainname(self):
        bundle = self.bundle("cat", "/proc/sys/kernel/domainname")
        bundle.config["domainname"] = "example.org"
        self.assertEqual(self.output(bundle), "example.org\n")

    def test_missing_program_fails_at_create(self):
        done = self.run_bundle(self.bundle("no-such-program"), check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no-such-program", done.stderr)

    def test_user_groups_and_umask(self):
        bundle = self.bundle(script="id -u; id -g; id -G; umask")
        bundle.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 77], "umask": 0o27}
        self.assertEqual(self.output(bundle).split(), ["1000", "1001", "1001", "5", "77", "0027"])

    def test_capabilities(self):
        bundle = self.bundle("cat", "/proc/self/status")
        bundle.process["capabilities"] = {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
                                          "permitted": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_KILL"],
                                          "inheritable": [], "ambient": []}
        bundle.process["user"] = {"uid": 0, "gid": 0}
        status = self.output(bundle)
        bits = {name: int(status_field(status, name), 16) for name in ("CapInh", "CapBnd", "CapAmb")}
        self.assertEqual(bits, {"CapInh": 0, "CapBnd": 1 << 0 | 1 << 5 | 1 << 13, "CapAmb": 0})

    def test_ambient_capabilities_reach_a_user(self):
        bundle = self.bundle("cat", "/proc/self/status")
        bundle.process["user"] = {"uid": 1000, "gid": 1000}
        bundle.process["capabilities"] = {key: ["CAP_NET_RAW"] for key in
                                          ("bounding", "permitted", "effective", "inheritable", "ambient")}
        status = self.output(bundle)
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status_field(status, name), 16), 1 << 13, name)

    def test_a_user_without_ambient_has_none(self):
        bundle = self.bundle("cat", "/proc/self/status")
        bundle.process["user"] = {"uid": 1000, "gid": 1000}
        self.assertEqual(int(status_field(self.output(bundle), "CapEff"), 16), 0)

    def test_no_new_privileges(self):
        for wanted in (True, False):
            bundle = self.bundle("cat", "/proc/self/status")
            bundle.process["noNewPrivileges"] = wanted
            self.assertEqual(status_field(self.output(bundle), "NoNewPrivs"), str(int(wanted)))

    def test_rlimits(self):
        bundle = self.bundle("cat", "/proc/self/limits")
        bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
                                     {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
        limits = self.output(bundle)
        self.assertRegex(limits, r"Max open files\s+100\s+200")
        self.assertRegex(limits, r"Max core file size\s+0\s+0")

    def test_oom_score(self):
        bundle = self.bundle("cat", "/proc/self/oom_score_adj")
        bundle.process["oomScoreAdj"] = 321
        self.assertEqual(self.output(bundle), "321\n")

    @not_in(runc="personality came with 1.2")
    def test_personality(self):
        bundle = self.bundle("uname", "-m")
        bundle.linux["personality"] = {"domain": "LINUX32"}
        self.assertEqual(self.output(bundle), "i686\n")

    @not_in(runc="ioPriority came with 1.2", crun="ioPriority came with 1.8.3")
    def test_io_priority(self):
        bundle = self.bundle("ionice", "-p", "1")
        bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
        self.assertIn("idle", self.output(bundle))

    @not_in(runc="scheduler came with 1.2")
    def test_scheduler(self):
        bundle = self.bundle("cut", "-d", " ", "-f", "41", "/proc/self/stat")
        bundle.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
        self.assertEqual(self.output(bundle), "3\n")

    def test_inherited_descriptors_stay_outside(self):
        bundle = self.bundle("ls", "/proc/self/fd")
        with tempfile.TemporaryFile() as file:
            os.set_inheritable(file.fileno(), True)
            listed = self.output(bundle, pass_fds=[file.fileno()]).split()
        self.assertEqual(listed, ["0", "1", "2", "3"])  # 3 is the directory that ls reads

    def test_preserved_descriptors(self):
        bundle = self.bundle(script="cat <&3")
        with tempfile.TemporaryFile() as file:
            file.write(b"kept\n")
            file.seek(0)
            saved = os.dup(3) if os.path.exists("/proc/self/fd/3") else None
            os.dup2(file.fileno(), 3)
            os.set_inheritable(3, True)
            try:
                self.assertEqual(self.output(bundle, "--preserve-fds", "1", pass_fds=[3]), "kept\n")
            finally:
                os.close(3) if saved is None else os.dup2(saved, 3)


class TerminalTestCase(RuntimeTestCase):
    def receive_terminal(self, listener):
        connection, _ = listener.accept()
        _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("i")))
        connection.close()
        fds = array.array("i")
        fds.frombytes(ancillary[0][2])
        return fds[0]

    def read_until(self, fd, text):
        seen = b""
        while text not in seen:
            seen += os.read(fd, 4096)
        return seen

    def test_console_socket(self):
        bundle = self.bundle(script="tty; stat -c %t:%T /dev/console; stty size; echo done; read line; echo got $line")
        bundle.process["terminal"] = True
        bundle.process["consoleSize"] = {"height": 33, "width": 99}
        with socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(bundle.path, "console.sock")
            listener.bind(path)
            listener.listen()
            container = self.created(bundle, "--console-socket", path)
            master = self.receive_terminal(listener)
            self.runtime("start", container)
            seen = self.read_until(master, b"done")
            self.assertIn(b"/dev/pts/0", seen)
            self.assertIn(b"88:0", seen)
            self.assertIn(b"33 99", seen)
            os.write(master, b"typed\n")
            self.read_until(master, b"got typed")
            os.close(master)

    def test_terminal_without_a_socket_is_refused(self):
        bundle = self.bundle("true")
        bundle.process["terminal"] = True
        self.assertNotEqual(self.runtime.quietly("create", "--bundle", bundle.write(), "none").returncode, 0)


class SeccompTestCase(RuntimeTestCase):
    def test_errors_and_arguments(self):
        bundle = self.bundle(script="mkdir /tmp/a; chmod 700 /tmp; chmod 777 /tmp; hostname other")
        bundle.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
                         {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 11,
                          "args": [{"index": 1, "value": 0o777, "op": "SCMP_CMP_EQ"}]},
                         {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]}
        done = self.run_bundle(bundle, check=False)
        lines = done.stderr.splitlines()
        self.assertIn("No space left on device", lines[0])
        self.assertIn("Resource temporarily unavailable", lines[1])
        self.assertEqual(len([line for line in lines if "chmod" in line]), 1)

    def test_default_deny(self):
        bundle = self.bundle("mkdir", "/tmp/a")
        allowed = ["read", "write", "close", "exit_group", "exit", "execve", "brk", "mmap", "munmap", "mprotect",
                   "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "getrandom", "readlink",
                   "readlinkat", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "getuid", "geteuid", "getgid", "getegid", "umask", "futex",
                   "newfstatat", "fstat", "stat", "openat", "fcntl", "getpid", "getppid", "lseek", "uname", "prctl",
                   "setuid", "setgid", "setgroups", "capget", "capset", "chdir", "getcwd", "epoll_ctl", "epoll_pwait", "nanosleep",
                   "clock_gettime", "fchown", "getdents64", "faccessat", "faccessat2", "setresuid", "setresgid", "statfs", "fstatfs",
                   "tgkill", "sigaltstack", "madvise", "sched_yield", "gettid", "sched_getaffinity", "close_range", "stat", "access"]
        bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 95,
                                   "architectures": ["SCMP_ARCH_X86_64"],
                                   "syscalls": [{"names": allowed, "action": "SCMP_ACT_ALLOW"}]}
        self.assertIn("not supported", self.run_bundle(bundle, check=False).stderr)

    def test_killed_process(self):
        bundle = self.bundle("mkdir", "/tmp/a")
        bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW",
                                   "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_KILL_PROCESS"}]}
        self.assertEqual(self.run_bundle(bundle, check=False).returncode, 128 + signal.SIGSYS)

    def test_notification(self):
        bundle = self.bundle(script="sleep 1000")
        path = os.path.join(bundle.path, "agent.sock")
        bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "meta",
                                   "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            container = self.started(bundle)
            connection, _ = listener.accept()
            data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(struct.calcsize("i")))
            connection.close()
        document = json.loads(data)
        self.assertEqual(document["metadata"], "meta")
        self.assertEqual(document["fds"], ["seccompFd"])
        self.assertEqual(document["state"]["id"], container)
        self.assertEqual(len(ancillary), 1)
        fds = array.array("i")
        fds.frombytes(ancillary[0][2])
        self.assertIn("seccomp notify", os.readlink(f"/proc/self/fd/{fds[0]}"))
        os.close(fds[0])


if __name__ == "__main__":
    unittest.main()
