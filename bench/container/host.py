"""What the benchmarks of containers do to the host they run on."""
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/container"))
import oci  # the bundles are those of the tests

PODMAN_CONFIGURATION = '[containers]\ndefault_ulimits = []\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'


def hide_unified():
    """crun refuses hybrid hosts: all run in a mount namespace without the unified hierarchy, so that none has more to do."""
    if oci.hybrid_host():
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        unified = next(line.split()[4] for line in mounts if " - cgroup2 " in line)
        os.execvp("unshare", ["unshare", "-m", "sh", "-c", f'umount {unified} && exec "$@"', "sh", sys.executable, *sys.argv])
