"""A kernel that goes through the processor's modes and checks what it sees; Bochs agrees with all of it."""
import os
import subprocess
import unittest
from pathlib import Path

from guest import ENGINE, PATIENCE, STRATA

KERNEL = Path(os.environ["STRATA_TEST_KERNELS"]) / "modes"


class Modes(unittest.TestCase):
    """Each processor model that has CPUID."""

    def visit(self, model):
        command = [STRATA, "run", *ENGINE, "--kernel", KERNEL, "--net", "none", "--cpu", model, "--memory", "64M"]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        self.assertNotIn("FAIL", run.stdout)
        self.assertIn("all is well", run.stdout, run.stderr)
        self.assertEqual(run.returncode, 1)  # what debug-exit makes of 0

    def test_pentium(self):
        self.visit("pentium")

    def test_pentium_pro(self):
        self.visit("pentium-pro")

    def test_k6_2(self):
        self.visit("k6-2")

    def test_core2(self):
        self.visit("core2")

    def test_max(self):
        self.visit("max")


if __name__ == "__main__":
    unittest.main()
