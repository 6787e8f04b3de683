"""Time that is counted in instructions: a run can be repeated, to the last digit of each time stamp, on each of the
engines that count."""
import os
import subprocess
import unittest
from pathlib import Path

from guest import GUESTS, STRATA, Folder

MODES = Path(os.environ["STRATA_TEST_KERNELS"]) / "modes"


def run(log, engine, *options):
    """What the monitor and the guest said, and the exit status."""
    done = subprocess.run(
        [STRATA, "run", "--icount", "shift=3", "--engine", engine, "--net", "none", "--serial", f"file:{log}", *options],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    return done.stderr, log.read_text(), done.returncode


class Repeated(unittest.TestCase):
    def same(self, engines, *options):
        """With timer interrupts, which come at the same instruction whatever executes those."""
        with Folder() as folder:
            runs = [run(folder / f"{i}", engine, *options) for i, engine in enumerate(engines)]
        for other in runs[1:]:
            self.assertEqual(other, runs[0])
        self.assertRegex(runs[0][0], r"\Astrata: \d+ instructions\n\Z")
        return runs[0]

    def boots(self, guest, engines):
        """Through the kernel, into user space, and out."""
        messages, console, status = self.same(
            engines, "--kernel", GUESTS / guest / "vmlinuz", "--initrd", GUESTS / guest / "initrd.gz", "--append",
            "console=ttyS0 do=tour")
        self.assertEqual(status, 0, messages)
        self.assertRegex(console, r"reboot: Power down\n\Z")
        return console

    def test_boots(self):
        console = self.boots("cloud", ("interpreter", "translator", "translator"))
        self.assertRegex(console, r"\[ +\d+\.\d{6}\] rtc_cmos .*setting system clock to 2000-01-01T00:00:0")

    def test_boots_of_32_bit_code(self):
        self.boots("686-pae", ("interpreter", "translator"))

    def test_all_modes(self):
        """Where all that can be is translated before it first runs, too."""
        for model in ("pentium", "core2", "max"):
            with self.subTest(model):
                *_, console, _ = self.same(("interpreter", "translator", "translator-eager"), "--kernel", MODES,
                                           "--memory", "64M", "--cpu", model)
                self.assertNotIn("FAIL", console)


if __name__ == "__main__":
    unittest.main()
