"""Another host for the container runtime: a machine of Strata's own on the translator, with Debian's kernel, cgroup v2
alone, and this host's programs on its disk."""
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from guest import GUESTS, Guest
from kvm_host import libraries

HERE = Path(__file__).resolve().parent
SUITES = HERE.parent
STRATA_OCI = Path(os.environ.get("STRATA_OCI", HERE.parents[2] / "build/release/bin/strata-oci"))
STRATA_UNITS = STRATA_OCI.parent / "strata-units"
# What the suites call. Some have to be where others look for them by their whole path.
PROGRAMS = ("runc", "crun", "criu", "ip", "tar", "iptables-restore", "ip6tables-restore", "iptables-save", "ip6tables-save",
            "newuidmap", "newgidmap", "apparmor_parser", "mount", "umount", "unshare", "nsenter", "setpriv", "kmod")
MODULES = ("veth", "dummy", "overlay", "unix_diag", "inet_diag", "tcp_diag", "udp_diag", "raw_diag", "af_packet_diag",
           "netlink_diag", "nf_tables", "nft_compat", "xt_mark", "nf_conntrack_netlink", "tun", "bfq", "fuse")
# What a host that systemd starts has besides.
SYSTEMD_PROGRAMS = ("/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd-shutdown", "systemctl", "systemd-run", "busctl",
                    "dbus-daemon", "podman", "conmon", "containerd", "containerd-shim-runc-v2", "ctr")
SYSTEMD_FILES = ("system/sysinit.target", "system/basic.target", "system/sockets.target", "system/shutdown.target",
                 "system/umount.target", "system/slices.target", "system/user.slice", "system/dbus.service", "system/dbus.socket",
                 "user/basic.target", "user/default.target", "user/sockets.target", "user/shutdown.target", "user/paths.target",
                 "user/timers.target", "user/exit.target", "user/systemd-exit.service", "user/dbus.service", "user/dbus.socket")
NOT_NEEDED = ("test", "idlelib", "tkinter", "lib2to3", "ensurepip", "site-packages", "dist-packages", "turtledemo",
              "pydoc_data", "config-*")


def add_file(root, path):
    """A file of this host, in the same place."""
    target = root / str(path).lstrip("/")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def add_program(root, path):
    add_file(root, path)
    for library in libraries(path):
        add_file(root, library)


def add_python(root):
    """The interpreter that runs this, and its library."""
    interpreter = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    add_program(root, interpreter)
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, root / str(library).lstrip("/"), symlinks=True, ignore=shutil.ignore_patterns(*NOT_NEEDED))
    for extension in library.glob("lib-dynload/*.so"):
        for needed in libraries(extension):
            add_file(root, needed)
    (root / "usr/bin/python3").symlink_to(interpreter)


def add_modules(root):
    """With those that they need."""
    tree = next((GUESTS / "cloud/work/kernel/lib/modules").iterdir())
    needs = dict(line.split(":", 1) for line in (tree / "modules.dep").read_text().splitlines())
    wanted = {path for path in needs if Path(path).name.split(".")[0].replace("-", "_") in MODULES}
    for path in wanted | {need for path in wanted for need in needs[path].split()}:
        target = root / "lib/modules" / tree.name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / path, target)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(tree / name, root / "lib/modules" / tree.name)
    subprocess.run(["depmod", "-b", root, tree.name], check=True)


def add_systemd(root):
    """With few units, so that it is there soon, and clients that use it."""
    for program in SYSTEMD_PROGRAMS:
        path = shutil.which(program)
        (root / path.lstrip("/")).unlink(missing_ok=True)
        add_program(root, path)
    for name in SYSTEMD_FILES:
        add_file(root, f"/usr/lib/systemd/{name}")
    shutil.copytree(HERE / "units", root / "usr/lib/systemd/system", dirs_exist_ok=True)
    wanted = root / "usr/lib/systemd/user/sockets.target.wants"
    wanted.mkdir()
    (wanted / "dbus.socket").symlink_to("../dbus.socket")
    for path in ("/usr/share/dbus-1/system.conf", "/usr/share/dbus-1/session.conf", "/usr/share/dbus-1/system.d/org.freedesktop.systemd1.conf",
                 "/etc/containers/policy.json"):
        add_file(root, path)
    with open(root / "etc/passwd", "a") as passwd:
        passwd.write("messagebus:x:100:100::/nonexistent:/usr/sbin/nologin\n")
    with open(root / "etc/group", "a") as group:
        group.write("messagebus:x:100:\n")
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/containers/containers.conf").write_text('[containers]\nlog_driver = "k8s-file"\n[engine]\nevents_logger = "file"\n')
    (root / "var/tmp").mkdir(parents=True)


def make_root(root):
    """The files of the other host."""
    for name in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "dev", "proc", "sys", "run", "tmp", "root", "etc", "mnt"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for applet in subprocess.run(["busybox", "--list"], check=True, capture_output=True, text=True).stdout.split():
        (root / "usr/bin" / applet).symlink_to("busybox")
    shutil.copy(shutil.which("busybox"), root / "usr/bin/busybox.new")
    (root / "usr/bin/busybox").unlink(missing_ok=True)
    (root / "usr/bin/busybox.new").rename(root / "usr/bin/busybox")
    (root / "usr/sbin/modprobe").symlink_to("../bin/kmod")  # where the kernel calls it
    for program in PROGRAMS:
        path = shutil.which(program)
        (root / path.lstrip("/")).unlink(missing_ok=True)
        add_program(root, path)
    for extension in Path("/usr/lib/x86_64-linux-gnu/xtables").glob("libxt_[ms]*.so"):  # CRIU's rules have marks
        add_file(root, extension)
    shutil.copy(STRATA_OCI, root / "usr/bin/strata-oci")  # static
    shutil.copy(STRATA_UNITS, root / "usr/bin/strata-units")
    for library in libraries(STRATA_UNITS):
        add_file(root, library)
    add_python(root)
    add_modules(root)
    shutil.copytree(SUITES, root / "strata/tests/container")
    subprocess.run(["checkpolicy", "-U", "allow", "-o", root / "strata/policy", HERE / "selinux.conf"], check=True, capture_output=True)
    shutil.copy(HERE / "init", root / "init")
    (root / "init").chmod(0o755)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n")
    (root / "etc/hostname").write_text("other\n")
    (root / "etc/group").write_text("root:x:0:\nuser:x:1000:\n")
    for name in ("subuid", "subgid"):
        (root / "etc" / name).write_text("user:100000:65536\n")
    (root / "tmp").chmod(0o1777)


def make_disk(path, systemd):
    with tempfile.TemporaryDirectory(prefix="strata-host.") as folder:
        root = Path(folder, "root")
        root.mkdir(mode=0o755)
        make_root(root)
        if systemd:
            add_systemd(root)
        subprocess.run(["truncate", "-s", "1G", path], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1", "-d", root, path], check=True)


class OtherHost(Guest):
    """Its shell, in the folder of the suites."""

    def __init__(self, append=""):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-host.")
        disk = Path(self.folder.name, "disk")
        make_disk(disk, "host=systemd" in append)
        super().__init__(options=["--engine", "translator", "--cpus", "2", "--memory", "1G", "--disk", disk],
                         append=f"quiet root=/dev/vda {append}")

    def close(self):
        super().close()
        self.folder.cleanup()
