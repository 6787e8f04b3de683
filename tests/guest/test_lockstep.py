"""The translator with the interpreter behind it, on a whole boot: they never differ."""
import os
import unittest
from unittest.mock import patch

from guest import Folder, Guest, counts


class Boot(unittest.TestCase):
    def boot(self, flavour):
        with Folder() as folder, patch.dict(os.environ, XDG_RUNTIME_DIR=str(folder)), \
             Guest(flavour, ["--engine", "lockstep", "--cpus", "1", "--net", "none", "--name", "twice"]) as guest:
            guest.check("(for i in 1 2 3 4; do (head -c 300000 /dev/zero | md5sum >/dev/null) & done; wait)")
            self.assertEqual(guest.trouble(), [])
            compared = counts("twice")
            self.assertGreater(compared["instructions-compared"], 100_000_000)
            self.assertGreater(compared["comparisons"], 1000)
            self.assertEqual(compared["not-compared"], 0)
            self.assertEqual(guest.power_off(), 0)

    def test_cloud_kernel_boots_without_a_difference(self):
        self.boot("cloud")

    def test_32_bit_kernel_boots_without_a_difference(self):
        self.boot("686-pae")


if __name__ == "__main__":
    unittest.main()
