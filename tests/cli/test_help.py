"""--help teaches: every subcommand says what it does and shows an example that the command line accepts."""
import re
import shlex
import unittest

from command import strata


def subcommands(*above):
    """The full names of the commands below one, as its help lists them."""
    text = strata(*above, "--help").stdout.split("\nExample")[0]
    names = [line.split()[0] for line in text[text.find("Usage:"):].splitlines() if re.match(r"  [a-z]+ {2,}\S", line)]
    return [(*above, name) for name in names]


def all_commands():
    top = [command for command in subcommands() if command != ("oci",)]  # a program of its own, strata-oci
    return top + [below for command in top for below in subcommands(*command)]


class Help(unittest.TestCase):
    def test_every_command(self):
        commands = all_commands()
        for command in (("run",), ("disk", "create"), ("disk", "convert"), ("cpus",), ("pull",), ("version",)):
            self.assertIn(command, commands)
        for command in commands:
            with self.subTest(" ".join(command)):
                done = strata(*command, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertRegex(done.stdout, r"Usage: ")
                examples = re.findall(rf"^ +(strata {' '.join(command)}\b.*)$|^ +source <\((strata completion bash)\)$", done.stdout, re.M)
                self.assertTrue(examples, "no example")

    def test_short_form_and_everything(self):
        self.assertEqual(strata("run", "-h").stdout, strata("run", "--help").stdout)
        self.assertIn("--publish", strata("--help-all").stdout)

    def test_groups(self):
        text = strata("--help").stdout
        for title in ("Virtual machines:", "Images:", "The command itself:"):
            self.assertIn(title, text)

    def test_lists(self):
        for command, words in (("engines", ("interpreter", "translator")), ("cpus", ("386", "k6-2", "max")),
                               ("devices", ("board micro", "16550A serial port", "virtio-rng")), ("version", ("strata ",))):
            with self.subTest(command):
                done = strata(command)
                self.assertEqual(done.returncode, 0)
                for word in words:
                    self.assertIn(word, done.stdout)

    def test_examples_are_accepted(self):
        """Options and values of the examples of `strata run` are known, whatever their files."""
        text = strata("run", "--help").stdout
        for line in re.findall(r"^ +(strata run .*--(?:kernel|disk).*)$", text, re.M):
            with self.subTest(line):
                done = strata(*shlex.split(line)[1:])
                self.assertRegex(done.stderr, r"^strata: cannot open (kernel|disk) ")


if __name__ == "__main__":
    unittest.main()
