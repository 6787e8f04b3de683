"""strata debug: what the translator makes of guest code, and what is left of a case that lockstep found."""
import os
import re
import unittest
from pathlib import Path

from command import BAD_ARGUMENT, FAILURE, strata
from guest import Folder

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/translator.md"


class Translate(unittest.TestCase):
    def test_the_document_shows_what_the_command_prints(self):
        """With STRATA_UPDATE in the environment the document is written anew."""
        text = DOCUMENT.read_text()
        examples = re.compile(r"^    \$ strata (debug translate .*)\n((?:    .*\n)*)", re.M)
        self.assertRegex(text, examples)

        def true(example):
            done = strata(*example[1].split())
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            output = "".join(f"    {line}".rstrip() + "\n" for line in done.stdout.splitlines())
            return f"    $ strata {example[1]}\n{output}"

        now = examples.sub(true, text)
        if "STRATA_UPDATE" in os.environ:
            DOCUMENT.write_text(now)
        self.assertEqual(now, text)

    def test_code_from_a_file(self):
        with Folder() as folder:
            file = folder / "code.bin"
            file.write_bytes(bytes.fromhex("4889d8c3"))
            from_file = strata("debug", "translate", "--file", file, "--user").stdout
        self.assertEqual(from_file, strata("debug", "translate", "--user", "4889", "d8c3").stdout)
        self.assertRegex(from_file, r"401000 .*mov rax, rbx +\| 48 89 d8 +mov rax, rbx\n")

    def test_what_is_no_code(self):
        for words, message in ((["48", "8"], "'8' is not code in hexadecimal"), (["xy"], "'xy' is not code"), ([], "no code"),
                               (["--address", "0x401fff", "48", "90"], "2 bytes at 0x401fff reach into another page"),
                               (["--address", "here", "90"], "--address: 'here' is not a hexadecimal number"),
                               (["--file", "/nonexistent"], "cannot open code /nonexistent")):
            done = strata("debug", "translate", *words)
            self.assertEqual((done.returncode, done.stdout), (BAD_ARGUMENT, ""))
            self.assertRegex(done.stderr, rf"\Astrata: {message}")


CASES = Path(__file__).resolve().parents[1] / "cpu/cases"


class Reduce(unittest.TestCase):
    """That a case is reduced, a unit test shows: it has a translator that is wrong."""

    def test_a_case_that_does_not_differ(self):
        file = CASES / "cmovns.case"
        done = strata("debug", "reduce", file)
        self.assertEqual((done.returncode, done.stdout), (FAILURE, ""))
        self.assertEqual(done.stderr.splitlines()[0], f"strata: {file}: translator and interpreter do the same")

    def test_what_is_no_case(self):
        with Folder() as folder:
            file = folder / "some.case"
            for text, message in (("", f"{file}: it does not begin with 'strata-case 1'"),
                                  ("strata-case 1\neax 1\n", f"{file}: line 2: there is nothing called 'eax'")):
                file.write_text(text)
                done = strata("debug", "reduce", file)
                self.assertEqual((done.returncode, done.stdout), (BAD_ARGUMENT, ""))
                self.assertEqual(done.stderr.splitlines()[0], f"strata: {message}")
            missing = strata("debug", "reduce", folder / "missing.case")
        self.assertEqual(missing.returncode, BAD_ARGUMENT)
        self.assertIn("strata: cannot open case", missing.stderr)


if __name__ == "__main__":
    unittest.main()
