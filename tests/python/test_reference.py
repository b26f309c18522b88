"""docs/ref/python.md is what the docstrings say."""

import subprocess
import sys
import unittest

from rig import ROOT


class Reference(unittest.TestCase):
    def test_the_page_is_current(self):
        program = subprocess.run([sys.executable, ROOT / "scripts/python-reference", "--check"], stderr=subprocess.PIPE, text=True)
        self.assertEqual(program.returncode, 0, program.stderr)


if __name__ == "__main__":
    unittest.main()
