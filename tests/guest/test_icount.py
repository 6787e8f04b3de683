"""Time that is counted in instructions: a boot can be repeated, to the last digit of each time stamp, on each of
the engines that count."""
import subprocess
import unittest

from guest import GUESTS, STRATA, Folder


def boot(log, guest, engine):
    """What the monitor and the guest said of a boot through the kernel, into user space, and out."""
    done = subprocess.run(
        [STRATA, "run", "--icount", "shift=3", "--engine", engine, "--kernel", GUESTS / guest / "vmlinuz",
         "--initrd", GUESTS / guest / "initrd.gz", "--append", "console=ttyS0 do=tour", "--net", "none",
         "--serial", f"file:{log}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stderr, log.read_text()


class Repeated(unittest.TestCase):
    def same_on_both(self, guest, *more):
        """With timer interrupts, which come at the same instruction whatever executes those."""
        with Folder() as folder:
            runs = [boot(folder / f"{i}", guest, engine)
                    for i, engine in enumerate(("interpreter", "translator", *more))]
        messages, console = runs[0]
        self.assertRegex(messages, r"\Astrata: \d{10} instructions\n\Z")
        self.assertRegex(console, r"\[ +\d+\.\d{6}\] rtc_cmos .*setting system clock to 2000-01-01T00:00:0")
        self.assertRegex(console, r"reboot: Power down\n\Z")
        for run in runs[1:]:
            self.assertEqual(run, runs[0])

    def test_boots_are_the_same(self):
        self.same_on_both("cloud", "translator")

    def test_boots_of_32_bit_code_are_the_same(self):
        self.same_on_both("686-pae")


if __name__ == "__main__":
    unittest.main()
