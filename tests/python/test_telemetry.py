"""Readers that state what they do, in the status of the service."""

import os
import signal
import subprocess
import tempfile
import unittest

import vas_frames as vas
from rig import PATIENCE, VAS, Service, generated, run_python


class Telemetry(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.readers = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="vas-python-", dir="/dev/shm"))
        config = f'[readers]\ndir = "{cls.readers}"\n'
        cls.service = cls.enterClassContext(Service(config, generated("gate")))
        os.environ["VAS_READERS_DIR"] = cls.readers
        cls.addClassCleanup(os.environ.pop, "VAS_READERS_DIR")

    def listed(self, label):
        """The reader of this label, as the status has it."""
        status = self.service.whole_status() or {"readers": []}
        return next((reader for reader in status["readers"] if reader["name"] == label), None)

    def table(self):
        return subprocess.run([VAS, "status", "--config", self.service.folder / "vas.toml"], stdout=subprocess.PIPE,
                              text=True, check=True).stdout

    def test_a_reader_is_listed_with_what_it_does(self):
        with vas.open("gate", dir=self.service.dir, timeout=PATIENCE, max_fps=5, label="people") as camera:
            for _ in range(5):
                camera.read()
            reader = self.service.until("listed", lambda: (found := self.listed("people")) and found["taken"] >= 5 and found)
            self.assertEqual((reader["camera"], reader["pid"], reader["max_fps"]), ("gate", os.getpid(), 5.0))
            self.assertEqual((reader["user_id"], reader["overwritten"]), (os.geteuid(), 0))
            minute = reader["last_minute"]
            self.assertGreaterEqual(minute["taken"], 5)
            self.assertTrue(0 <= minute["age_p50_ms"] <= minute["age_p99_ms"])
            self.assertRegex(self.table(), rf"\nREADER .*\npeople +gate +{os.getpid()} +5/s ")
        self.service.until("gone", lambda: self.listed("people") is None)

    def test_a_slow_reader_is_named(self):
        with vas.open("gate", dir=self.service.dir, timeout=PATIENCE, label="slow one") as camera:
            view = camera.borrow()
            # It reads on until the ring has gone past its frame.
            while view.still_valid():
                camera.borrow()
            reader = self.service.until("slow", lambda: (found := self.listed("slow one")) and found["overwritten"] and found)
            self.assertEqual(reader["overwritten"], 1)
            camera.read()
            self.service.until("slow in the last minute", lambda: self.listed("slow one")["last_minute"]["overwritten"])
            self.assertRegex(self.table(), rf"\nslow one \(process {os.getpid()}\) is slow: in the last minute it lost 1 of \d+ frames of gate")

    def test_a_killed_reader_is_not_listed_and_swept_by_the_next(self):
        code = ("import sys, vas_frames as vas\n"
                "for frame in vas.open('gate', dir=sys.argv[1], label='killed'):\n    print(frame.id, flush=True)\n")
        program = run_python(code, self.service.dir)
        program.stdout.readline()
        self.service.until("listed", lambda: self.listed("killed"))
        program.send_signal(signal.SIGKILL)
        program.communicate()
        self.service.until("gone", lambda: self.listed("killed") is None)
        self.assertTrue(any(name.startswith(f"{program.pid}-") for name in os.listdir(self.readers)))
        vas.open("gate", dir=self.service.dir).close()
        self.assertFalse(any(name.startswith(f"{program.pid}-") for name in os.listdir(self.readers)))

    def test_a_child_of_fork_has_a_file_of_its_own(self):
        with vas.open("gate", dir=self.service.dir, timeout=PATIENCE, label="forked") as camera:
            camera.read()
            child = os.fork()
            if child == 0:
                try:
                    camera.read()
                    os._exit(sum(name.startswith(f"{os.getpid()}-") for name in os.listdir(self.readers)))
                finally:
                    os._exit(99)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 1)
            # The parent's is untouched.
            self.assertTrue(any(name.startswith(f"{os.getpid()}-") for name in os.listdir(self.readers)))
            camera.read()


if __name__ == "__main__":
    unittest.main()
