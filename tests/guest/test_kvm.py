"""Machines on the host's processor by KVM: on this host's where it has one, else in a host that QEMU emulates."""
import os
import unittest
from pathlib import Path

import kvm_host

KERNELS = Path(os.environ["STRATA_TEST_KERNELS"])


class Kvm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = kvm_host.host({"obedient": KERNELS / "obedient"})

    @classmethod
    def tearDownClass(cls):
        cls.host.close()

    def obedient(self, append, options=""):
        """(exit status, output) of the small kernel that does as its command line says."""
        return self.host.run(f"strata run --engine kvm --net none --memory 16M --kernel {self.host.file('obedient')} "
                             f"{options} --append '{append}' </dev/null")

    def test_the_host_has_it(self):
        engines = self.host.check("strata engines")
        self.assertRegex(engines, r"\Akvm +runs guest code on the host's processor")
        self.assertNotIn("not here", engines.splitlines()[1])

    def test_a_kernel_runs_and_powers_off(self):
        status, output = self.obedient("say=hello off")
        self.assertEqual((status, output), (0, "hello"))

    def test_with_two_processors(self):
        status, output = self.obedient("say=hello off", "--cpus 2")
        self.assertEqual((status, output), (0, "hello"))


if __name__ == "__main__":
    unittest.main()
