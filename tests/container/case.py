"""What the suites share: a runtime and bundles that are cleaned up, and what a runtime of Debian's does not offer."""
import functools
import os
import time
import unittest
from pathlib import Path

from oci import CHOSEN, PATIENCE, Bundle, Runtime, new_id


def cgroups(name):
    """The cgroups of a container of this name in all hierarchies; systemd's names have a prefix and a suffix. Others come
    and go meanwhile."""
    return [Path(root) for root, _, _ in os.walk("/sys/fs/cgroup")
            if os.path.basename(root) == name or root.endswith(f"-{name}.scope")]


def not_in(**reasons):
    """Other runtimes lack this, for the reason given; Strata never does."""
    assert "strata" not in reasons

    def decorate(test):
        @functools.wraps(test)
        def run(self):
            if CHOSEN in reasons:
                print(f"{CHOSEN} does not offer it: {reasons[CHOSEN]}")
                return
            test(self)
        return run
    return decorate


def has_ended(pid):
    """Also of a process that nobody has waited for yet."""
    try:
        return ") Z" in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def eventually(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        time.sleep(0.02)
    return result


class RuntimeTestCase(unittest.TestCase):
    def setUp(self):
        self.runtime = Runtime()
        self.addCleanup(self.runtime.close)

    def bundle(self, *args, script=None):
        bundle = Bundle(*args, script=script)
        self.addCleanup(bundle.close)
        return bundle

    def run_bundle(self, bundle, *flags, check=True, **options):
        """The finished `run` of a bundle."""
        return self.runtime("run", "--bundle", bundle.write(), *flags, new_id(), check=check, **options)

    def output(self, bundle, *flags, **options):
        return self.run_bundle(bundle, *flags, **options).stdout

    def started(self, bundle=None, *flags):
        """The ID of a running container."""
        bundle = bundle or self.bundle("sleep", "1000")
        container = self.created(bundle, *flags)
        self.runtime("start", container)
        return container

    def created(self, bundle, *flags):
        container = new_id()
        log = os.path.join(bundle.path, "create.log")
        done = self.runtime.quietly("--log", log, "create", "--bundle", bundle.write(), *flags, container)
        self.assertEqual(done.returncode, 0, Path(log).read_text() if os.path.exists(log) else "")
        return container

    def status(self, container):
        return self.runtime.state(container)["status"]
