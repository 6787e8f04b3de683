"""Bundles, and the runtimes that run them: Strata's, and runc and crun beside it.

STRATA_OCI is Strata's executable; OCI_RUNTIME names the runtime that a suite runs (strata, runc or crun), and
OCI_RUNTIME_FLAGS are what goes before each verb."""
import contextlib
import functools
import json
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STRATA_OCI = os.environ.get("STRATA_OCI", str(ROOT / "build/release/bin/strata-oci"))
CHOSEN = os.environ.get("OCI_RUNTIME", "strata")
FLAGS = os.environ.get("OCI_RUNTIME_FLAGS", "").split()
PATIENCE = float(os.environ.get("STRATA_TEST_PATIENCE", "120"))
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_NET_BIND_SERVICE"]


def hybrid_host():
    """True where version 1 hierarchies and the unified one are mounted side by side."""
    mounts = Path("/proc/self/mountinfo").read_text()
    return " - cgroup " in mounts and " - cgroup2 " in mounts


def command_of(name):
    if name == "strata":
        return [STRATA_OCI]
    path = shutil.which(name) or f"/usr/sbin/{name}"
    if name == "crun" and hybrid_host():
        # crun refuses hybrid hosts, so the unified hierarchy is hidden from it.
        unified = next(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
                       if " - cgroup2 " in line)
        return ["unshare", "-m", "sh", "-c", f'umount {unified} && exec {path} "$@"', "crun"]
    return [path]


class Runtime:
    def __init__(self, name=CHOSEN, flags=FLAGS):
        self.name = name
        self.flags = flags
        self.root = tempfile.mkdtemp(prefix=f"{name}-root-")

    def command(self):
        return [*command_of(self.name), *self.flags, "--root", self.root]

    def __call__(self, *arguments, check=True, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run([*self.command(), *map(str, arguments)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{self.name} {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def quietly(self, *arguments, **options):
        """For containers that outlive the call: nobody waits for the end of their output."""
        return subprocess.run([*self.command(), *map(str, arguments)], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=PATIENCE, **options)

    def state(self, container):
        return json.loads(self("state", container).stdout)

    def close(self):
        for name in os.listdir(self.root):
            self("delete", "--force", name, check=False)
        shutil.rmtree(self.root, ignore_errors=True)


@functools.cache
def busybox():
    path = shutil.which("busybox")
    return path, subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()


def make_rootfs(path):
    """A root with busybox and nothing else."""
    executable, applets = busybox()
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "mnt"):
        os.makedirs(os.path.join(path, name), exist_ok=True)
    shutil.copy2(executable, os.path.join(path, "bin/busybox"))
    folder = os.open(os.path.join(path, "bin"), os.O_RDONLY)
    for applet in applets:
        with contextlib.suppress(FileExistsError):
            os.symlink("busybox", applet, dir_fd=folder)
    os.close(folder)
    Path(path, "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")


def mount(destination, kind, source=None, options=()):
    return {"destination": destination, "type": kind, "source": source or kind, "options": list(options)}


def base_config(*args):
    return {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": list(args), "env": [PATH], "cwd": "/",
                    "noNewPrivileges": True,
                    "capabilities": {key: list(DEFAULT_CAPABILITIES) for key in ("bounding", "effective", "permitted")}},
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "box",
        "mounts": [mount("/proc", "proc"),
                   mount("/dev", "tmpfs", options=["nosuid", "strictatime", "mode=755", "size=65536k"]),
                   mount("/dev/pts", "devpts", options=["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
                   mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
                   mount("/dev/mqueue", "mqueue", options=["nosuid", "noexec", "nodev"]),
                   mount("/sys", "sysfs", options=["nosuid", "noexec", "nodev", "ro"])],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
                  "resources": {"devices": [{"allow": False, "access": "rwm"}]}},
    }


class Bundle:
    def __init__(self, *args, script=None):
        self.path = tempfile.mkdtemp(prefix="bundle-")
        os.chmod(self.path, 0o755)
        self.rootfs = os.path.join(self.path, "rootfs")
        os.mkdir(self.rootfs)
        make_rootfs(self.rootfs)
        self.config = base_config(*(args or ["sh", "-c", script or "true"]))

    @property
    def process(self):
        return self.config["process"]

    @property
    def linux(self):
        return self.config["linux"]

    def namespace(self, kind, **details):
        """Adds a namespace, or changes the one of that kind."""
        self.linux["namespaces"] = [n for n in self.linux["namespaces"] if n["type"] != kind]
        self.linux["namespaces"].append({"type": kind, **details})

    def write(self):
        Path(self.path, "config.json").write_text(json.dumps(self.config))
        return self.path

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)


def new_id():
    return "c" + uuid.uuid4().hex[:12]
