"""What the translator promises about its own process, seen from outside."""
import os
import re
import subprocess
import time
import unittest
from pathlib import Path
from unittest.mock import patch

from guest import PATIENCE, STRATA, Console, Folder, Guest, counts

KERNELS = Path(os.environ["STRATA_TEST_KERNELS"])


class Memory(unittest.TestCase):
    """Memory that can be executed is never writable, and the other way round."""

    def rights(self, process):
        """Of all mappings of the process, with their names."""
        return [(words[1], " ".join(words[5:]))
                for words in map(str.split, Path(f"/proc/{process.pid}/maps").read_text().splitlines())]

    def test_no_mapping_is_writable_and_executable(self):
        command = [STRATA, "run", "--engine", "translator", "--net", "none", "--memory", "16M",
                   "--kernel", KERNELS / "counting"]
        with Console(command) as machine:
            deadline = time.monotonic() + PATIENCE
            translated = 0
            while translated < 20 and time.monotonic() < deadline:
                self.assertIsNone(machine.process.poll(), machine.log)
                rights = self.rights(machine.process)
                self.assertEqual([each for each in rights if re.match(r".wx", each[0])], [])
                code = {each[0] for each in rights if "strata-code" in each[1]}
                self.assertIn(code, (set(), {"rw-s", "r-xs"}))
                # The guest's own memory holds its instructions, which are never run where they are.
                executable = {each[1] for each in rights if "x" in each[0]}
                self.assertEqual({name for name in executable if not re.search(r"strata-code|/.*(bin|lib)/|^\[v", name)}, set())
                translated += bool(code)
                time.sleep(0.01)
            self.assertEqual(translated, 20, "the machine has no memory for translated code")


class Checked(unittest.TestCase):
    def check(self, flavour):
        with Guest(flavour, ["--engine", "translator-checked", "--cpus", "1", "--net", "none"]) as guest:
            guest.check("for i in $(seq 200); do cat /proc/uptime >/dev/null; done; head -c 3000000 /dev/zero | md5sum")
            self.assertEqual(guest.power_off(), 0)

    def test_all_code_of_a_boot_is_proved_safe(self):
        self.check("cloud")

    def test_all_32_bit_code_of_a_boot_is_proved_safe(self):
        self.check("686-pae")


class Counts(unittest.TestCase):
    def test_what_is_translated_and_what_is_left(self):
        with Folder() as folder, patch.dict(os.environ, XDG_RUNTIME_DIR=str(folder)), \
             Guest("cloud", ["--engine", "translator", "--cpus", "1", "--net", "none", "--name", "counted"]) as guest:
            before = counts("counted")
            self.assertGreater(before["traces"], 1000)
            self.assertGreater(before["trace-instructions"], before["traces"])
            self.assertGreater(before["code-bytes"], before["trace-instructions"])
            self.assertGreater(before["page-walks"], 0)
            # Each of its programs has page faults, which IRET returns from.
            guest.check("for i in $(seq 400); do cat /proc/uptime >/dev/null; done")
            after = counts("counted")
            self.assertGreaterEqual(after["iretq"], before.get("iretq", 0) + 100)
            self.assertEqual(guest.power_off(), 0)


class Shared(unittest.TestCase):
    """What one processor has translated, the other takes."""

    def test_nothing_is_translated_by_both(self):
        with Folder() as folder, patch.dict(os.environ, XDG_RUNTIME_DIR=str(folder)), \
             Guest("cloud", ["--engine", "translator", "--cpus", "2", "--net", "none", "--name", "both"]) as guest:
            guest.check("(for i in 1 2 3 4; do (head -c 3000000 /dev/zero | md5sum >/dev/null) & done; wait)")
            done = subprocess.run([STRATA, "stats", "both"], capture_output=True, text=True, check=True)
            reused = [int(line.split()[3]) for line in done.stdout.splitlines() if " traces-reused " in line]
            self.assertEqual(len(reused), 2)
            self.assertGreater(min(reused), 100)
            self.assertEqual(guest.trouble(), [])
            self.assertEqual(guest.power_off(), 0)


class Cache(unittest.TestCase):
    """What one machine has translated, the next one takes from a file."""

    def boot(self, folder, *, engine="translator", append=""):
        """What was counted."""
        with patch.dict(os.environ, XDG_RUNTIME_DIR=str(folder)), \
             Guest("cloud", ["--engine", engine, "--cpus", "1", "--net", "none", "--name", "kept",
                             "--translation-cache", folder / "cache"], append) as guest:
            counted = counts("kept")
            self.assertEqual(guest.trouble(), [])
            self.assertEqual(guest.power_off(), 0)
            return counted

    def end_at_once(self, folder):
        """What a machine that does nothing prints."""
        done = subprocess.run([STRATA, "run", "--engine", "translator", "--net", "none", "--kernel", KERNELS / "obedient",
                               "--append", "off", "--translation-cache", folder / "cache"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def test_a_later_boot_translates_next_to_nothing(self):
        with Folder() as folder:
            first = self.boot(folder, append="nokaslr")
            self.assertEqual(first["traces-loaded"], 0)
            self.assertGreater(first["traces"], 1000)
            second = self.boot(folder, append="nokaslr")
            self.assertGreater(second["traces-loaded"], 10 * second["traces"])
            # Elsewhere in memory, and each trace proved safe where it is then.
            moved = self.boot(folder, engine="translator-checked")
            self.assertGreater(moved["traces-loaded"], moved["traces"])
            file = folder / "cache"
            file.write_bytes(file.read_bytes()[:-100])
            self.assertIn("is damaged: it is not used, and made anew", self.end_at_once(folder))
            self.assertEqual(self.end_at_once(folder), "")


if __name__ == "__main__":
    unittest.main()
