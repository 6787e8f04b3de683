"""What the suites of checkpoints share: containers that count, saved and restored."""
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from case import eventually
from oci import Bundle, Runtime, new_id

# Counts in a variable, into a file that stays open.
COUNT = "n=0; exec 5>>/count; while :; do n=$((n + 1)); echo $n >&5; sleep 0.05; done"


class CheckpointCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.runtime = self.new_runtime("strata")
        self.folder = tempfile.mkdtemp(prefix="checkpoint-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.images = os.path.join(self.folder, "images")

    def new_runtime(self, name):
        runtime = Runtime(name)
        self.addCleanup(runtime.close)
        return runtime

    def bundle(self, *args, script=None, network=False):
        """Without a network of its own unless asked: CRIU runs a dozen programs to save one."""
        bundle = Bundle(*args, script=script)
        self.addCleanup(bundle.close)
        if not network:
            bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "network"]
            bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "sysfs"]
        return bundle

    def detached(self, verb, bundle, container, *flags, runtime=None):
        log = Path(bundle.path, "log")
        log.unlink(missing_ok=True)
        done = (runtime or self.runtime).quietly("--log", log, verb, "--detach", *flags, "--bundle", bundle.write(), container)
        self.assertEqual(done.returncode, 0, log.read_text() if log.exists() else verb)

    def numbers(self, bundle):
        path = Path(bundle.rootfs, "count")
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def passes(self, bundle, number):
        eventually(lambda: (self.numbers(bundle) or [0])[-1] > number, f"a count above {number}")

    def counting(self):
        """The bundle and the ID of a container that counts."""
        bundle, container = self.bundle(script=COUNT), new_id()
        self.detached("run", bundle, container)
        self.passes(bundle, 2)
        return bundle, container

    def restore(self, bundle, container, *flags):
        self.detached("restore", bundle, container, "--image-path", self.images, *flags)

    def refused(self, *arguments, **options):
        done = self.runtime(*arguments, check=False, **options)
        self.assertNotEqual(done.returncode, 0, arguments)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr
