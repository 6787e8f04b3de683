"""Time that is counted in instructions: a boot can be repeated, to the last digit of each time stamp."""
import subprocess
import unittest

from guest import GUESTS, STRATA, Folder


class Repeated(unittest.TestCase):
    def test_two_boots_are_the_same(self):
        """Through the kernel, into user space, and out."""
        runs = []
        with Folder() as folder:
            for log in (folder / "first", folder / "second"):
                done = subprocess.run(
                    [STRATA, "run", "--icount", "shift=3", "--kernel", GUESTS / "cloud/vmlinuz", "--initrd",
                     GUESTS / "cloud/initrd.gz", "--append", "console=ttyS0 do=tour", "--net", "none", "--serial", f"file:{log}"],
                    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
                self.assertEqual(done.returncode, 0, done.stderr)
                runs.append((done.stderr, log.read_text()))
        messages, console = runs[0]
        self.assertRegex(messages, r"\Astrata: 1\d{9} instructions\n\Z")
        self.assertRegex(console, r"\[ +\d+\.\d{6}\] rtc_cmos .*setting system clock to 2000-01-01T00:00:0")
        self.assertRegex(console, r"reboot: Power down\n\Z")
        self.assertEqual(runs[0], runs[1])


if __name__ == "__main__":
    unittest.main()
