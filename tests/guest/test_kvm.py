"""Machines on the host's processor by KVM: on this host's where /dev/kvm opens, else in a host that QEMU emulates."""
import re
import unittest

import kvm_host
from guest import Guest


class Kvm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = kvm_host.host()

    @classmethod
    def tearDownClass(cls):
        cls.host.close()

    def test_the_host_has_it(self):
        engines = self.host.check("strata engines")
        self.assertRegex(engines, r"\Akvm +runs guest code on the host's processor")
        self.assertNotIn("kvm not here", engines)

    def test_boots_to_a_shell(self):
        with self.host.guest(["--net", "none"]) as guest:
            self.assertRegex(guest.check("uname -r"), r"cloud-amd64$")
            self.assertEqual(guest.trouble(), [])
            self.assertEqual(guest.power_off(), 0)


if __name__ == "__main__":
    unittest.main()
