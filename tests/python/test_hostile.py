"""Exports that no honest writer makes: errors in words, never a crash."""

import contextlib
import fcntl
import os
import pathlib
import random
import shutil
import struct
import tempfile
import unittest

import numpy as np

import vas_frames as vas
from rig import PATIENCE, ROOT, Service, generated

# Offsets of the fields that hold the ring's shape and state (docs/ref/frame-format.md).
FIELDS = [(0, 4), (8, 8), (24, 4), (28, 4), (32, 4), (36, 4), (48, 8), (56, 4), (64, 8), (72, 8), (88, 4), (92, 4),
          (96, 4), (100, 4), (104, 8), (112, 8), (128, 8), (256, 4), (260, 4), (264, 8)]


def lock(file):
    """The lock by which a reader knows a writer: of the open file, so another open of this process sees it, too."""
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="vas-python-", dir="/dev/shm")))
        cls.camera = cls.folder / "gate"
        cls.camera.mkdir()
        with Service(generated("gate", "64x48")) as service:
            with vas.open("gate", dir=service.dir, timeout=PATIENCE, every=True) as camera:
                camera.read()
                for name in ("readers", "frame.data", "frame.meta"):
                    shutil.copy(service.dir / "gate" / name, cls.camera / name)
        cls.honest = (cls.camera / "frame.meta").read_bytes()
        # `data_inode`: the copy's.
        inode = struct.pack("<Q", (cls.camera / "frame.data").stat().st_ino)
        cls.honest = cls.honest[:120] + inode + cls.honest[128:]

    @contextlib.contextmanager
    def export(self, meta):
        """The export with these bytes as its `frame.meta`, and a lock as of a live writer."""
        path = self.camera / "frame.meta"
        path.unlink(missing_ok=True)
        path.write_bytes(meta)
        with open(path, "r+b") as held:
            lock(held)
            yield

    def attempt(self):
        """Opens and reads in every way; returns the exceptions' types."""
        seen = set()
        try:
            with vas.open("gate", dir=self.folder) as camera, vas.open_many(["gate"], dir=self.folder, threads=1) as site:
                for read in (
                    lambda: camera.latest(timeout=0).bgr(),
                    lambda: camera.read(timeout=0),
                    lambda: camera.borrow(timeout=0).y.sum(),
                    lambda: site.pull_batch(np.zeros((1, 3, 8, 8), np.float32), timeout=0),
                    lambda: site.pull_aligned(timeout=0),
                ):
                    try:
                        read()
                    except (vas.Error, OSError) as error:
                        self.assertTrue(str(error))
                        seen.add(type(error).__name__)
        except (vas.Error, OSError) as error:
            self.assertTrue(str(error))
            seen.add(type(error).__name__)
        return seen

    def test_the_copy_is_opened(self):
        # Otherwise the tests below would try nothing.
        with self.export(self.honest):
            self.assertLessEqual(self.attempt(), {"NoFrame"})
            with vas.open("gate", dir=self.folder) as camera:
                self.assertEqual(camera.latest(timeout=0).bgr().shape, (48, 64, 3))

    def test_fields_of_the_header_with_other_values(self):
        chance, seen = random.Random(1), set()
        for _ in range(2000):
            offset, size = chance.choice(FIELDS)
            honest = int.from_bytes(self.honest[offset:offset + size], "little")
            value = chance.choice([honest + chance.randint(-2, 2), honest * chance.randint(0, 3),
                                   (1 << chance.randrange(64)) + chance.randint(-2, 2), chance.getrandbits(64)])
            bad = (value % (1 << 8 * size)).to_bytes(size, "little")
            with self.export(self.honest[:offset] + bad + self.honest[offset + size:]):
                seen |= self.attempt()
        self.assertIn("FormatError", seen)

    def test_entries_with_other_bytes(self):
        chance = random.Random(2)
        for _ in range(500):
            meta = bytearray(self.honest)
            for _ in range(chance.randint(1, 40)):
                meta[chance.randrange(512, len(meta))] = chance.randrange(256)
            with self.export(bytes(meta)):
                self.attempt()

    def test_files_of_the_fuzzers_corpus(self):
        corpus = sorted((ROOT / "tests/fuzz/corpus/open_and_read").iterdir())
        self.assertTrue(corpus)
        for file in corpus:
            with self.export(file.read_bytes()):
                self.attempt()

    def test_files_that_are_too_short(self):
        for length in (0, 1, 63, 511, 512, 600, len(self.honest) - 1):
            with self.subTest(length), self.export(self.honest[:length]):
                self.assertTrue(self.attempt())

    def test_words_name_the_file_and_the_problem(self):
        with self.export(b"\3" + self.honest[1:]):
            with self.assertRaisesRegex(vas.FormatError, "gate/frame.meta: .*version"):
                vas.open("gate", dir=self.folder)
            with self.assertRaises(ValueError):
                vas.open("gate", dir=self.folder)

    def test_pipes_and_links_do_not_hang(self):
        path = self.camera / "frame.meta"
        for make in (os.mkfifo, lambda path: os.symlink("frame.data", path), os.mkdir):
            path.unlink(missing_ok=True)
            make(path)
            self.assertTrue(self.attempt())
            if path.is_dir():
                path.rmdir()


if __name__ == "__main__":
    unittest.main()
