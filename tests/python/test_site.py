"""Many cameras at once: batches and aligned frames."""

import gc
import os
import unittest

import cv2
import numpy as np

import vas_frames as vas
from rig import PATIENCE, SILENT, Service, generated


class Sites(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(
            Service(generated("gate"), generated("yard", "320x240", 10), SILENT))

    def open(self, *names, **options):
        return self.enterContext(vas.open_many(names or ["gate", "yard"], dir=self.service.dir, **options))

    def full(self, site, out, **options):
        """A batch in which each camera has a frame."""
        while not all(rows := site.pull_batch(out, timeout=PATIENCE, linger=PATIENCE, **options)):
            pass
        return rows

    def test_each_camera_fills_its_place(self):
        site = self.open()
        out = np.full((2, 3, 64, 64), -1, np.float32)
        rows = self.full(site, out, scale=1 / 255)
        self.assertEqual([(row.ok, row.camera, row.index, row.why) for row in rows],
                         [(True, "gate", 0, None), (True, "yard", 1, None)])
        self.assertEqual([row.frame.size for row in rows], [(640, 360), (320, 240)])
        self.assertTrue((out >= 0).all() and (out <= 1).all() and out.std() > 0.1)
        # 640x360 in 64x64: 36 rows between bars of 14.
        np.testing.assert_allclose(out[0, :, :14], 114 / 255, rtol=1e-6)
        np.testing.assert_allclose(rows[0].to_picture([[0, 14, 64, 50]]), [[0, 0, 640, 360]])
        np.testing.assert_allclose(rows[1].to_picture([[32, 32]]), [[160, 120]])
        self.assertIn("0: ", repr(rows[0]))
        self.assertEqual((len(site), site.names), (2, ["gate", "yard"]))

    def test_a_batch_is_what_a_frames_own_methods_make(self):
        site = self.open("gate")
        with vas.open("gate", dir=self.service.dir, timeout=PATIENCE) as camera:
            out = np.zeros((1, 48, 64, 3), np.uint8)
            for _ in range(1000):
                row, = self.full(site, out, layout="nhwc", order="bgr", fit="stretch")
                frame = camera.latest()
                if frame.id == row.frame.id:
                    break
            self.assertEqual(frame.id, row.frame.id)
        np.testing.assert_array_equal(out[0], frame.resized((64, 48), fit="stretch", order="bgr"))

    def test_normalization_is_that_of_its_formula(self):
        site = self.open("gate")
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        plain, normal = np.zeros((1, 3, 32, 32), np.float32), np.zeros((1, 3, 32, 32), np.float32)
        for _ in range(1000):
            first, = self.full(site, plain)
            second, = self.full(self.open("gate"), normal, scale=1 / 255, mean=mean, std=std)
            if first.frame.id == second.frame.id:
                break
        self.assertEqual(first.frame.id, second.frame.id)
        expected = (plain[0] / 255 - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
        np.testing.assert_allclose(normal[0], expected, atol=1e-5)

    def test_elements_and_layouts(self):
        site = self.open("gate")
        for dtype, shape, options in [
            (np.float16, (1, 3, 16, 32), {}),
            (np.uint8, (1, 16, 32, 3), {"layout": "nhwc"}),
            (np.float32, (1, 1, 16, 32), {"order": "gray"}),
            (np.float32, (1, 16, 32, 1), {"order": "gray", "layout": "nhwc"}),
        ]:
            with self.subTest(dtype=dtype, shape=shape):
                out = np.zeros(shape, dtype)
                self.full(site, out, **options)
                self.assertTrue(out.any())

    def test_buffers_of_other_libraries(self):
        site = self.open("gate")
        memory = np.zeros((1, 3, 16, 16), np.float32)

        class Tensor:
            """As torch's on the processor: numpy() shares its memory."""

            def numpy(self):
                return memory

        Tensor.__module__ = "torch"

        class Exporter:
            """A tensor that others reach by DLPack alone."""

            def __dlpack__(self, **options):
                return memory.__dlpack__(**options)

            def __dlpack_device__(self):
                return memory.__dlpack_device__()

        for out in (Tensor(), Exporter(), memoryview(memory)):
            with self.subTest(type(out)):
                memory[:] = -1
                self.full(site, out)
                self.assertTrue((memory >= 0).all())

    def test_arrays_that_do_not_fit_are_refused(self):
        site = self.open()
        good = np.zeros((2, 3, 8, 8), np.float32)
        read_only = good.copy()
        read_only.flags.writeable = False
        for out, options, error, words in [
            (good[:1], {}, ValueError, r"shape \[1, 3, 8, 8\], expected \(2, 3, height, width\)"),
            (good, {"layout": "nhwc"}, ValueError, r"expected \(2, height, width, 3\)"),
            (good, {"order": "gray"}, ValueError, r"expected \(2, 1, height, width\)"),
            (good.astype(np.float64), {}, TypeError, "float64, expected float32, float16 or uint8"),
            (good.transpose(0, 1, 3, 2), {}, ValueError, "not contiguous"),
            (read_only, {}, (ValueError, TypeError), "writ|readonly"),
            (good, {"mean": [1, 2]}, ValueError, "mean has 2 numbers, expected one for each of 3 channels"),
            (good, {"std": [0]}, ValueError, "std of 0"),
            (good.astype(np.uint8), {"scale": 0.5}, ValueError, "cannot normalize bytes"),
            (good, {"fit": "none"}, ValueError, 'fit is "none"'),
            (good, {"timeout": -1}, ValueError, "timeout is -1"),
            (np.zeros((2, 3, 0, 8), np.float32), {}, ValueError, "8x0"),
            (np.zeros((2, 3, 0, 0), np.float32), {}, ValueError, "0x0"),
            ("text", {}, TypeError, ""),
        ]:
            with self.subTest(words), self.assertRaisesRegex(error, words):
                while True:
                    site.pull_batch(out, **options)

    def test_each_row_says_why_it_has_nothing(self):
        out = np.zeros((3, 3, 8, 8), np.float32)
        site = self.open("gate", "silent", "none")
        rows = site.pull_batch(out, timeout=PATIENCE)
        self.assertEqual([row.why for row in rows], [None, "quiet", "gone"])
        self.assertIsNone(rows[1].frame)
        self.assertIn("nothing of silent, quiet", repr(rows[1]))
        with self.assertRaisesRegex(ValueError, "camera silent has no frame"):
            rows[1].to_picture([[0, 0]])
        # The newest frame was just given, and its successor is not due yet or is.
        again = site.pull_batch(out, timeout=0)[0]
        self.assertIn(again.why, (None, "unchanged"))
        while site.pull_batch(out, timeout=0)[0]:
            pass
        self.assertEqual(site.pull_batch(out, timeout=PATIENCE, max_age=0)[0].why, "too_old")

    def test_the_rate_is_a_maximum(self):
        site = self.open("gate", max_fps=2)
        # This one makes the service copy every frame, so that there are frames that the gate skips.
        self.enterContext(vas.open("gate", dir=self.service.dir))
        out = np.zeros((1, 3, 8, 8), np.float32)
        times, whys = [], set()
        while len(times) < 4:
            row, = site.pull_batch(out, timeout=0.02)
            whys.add(row.why)
            if row:
                times.append(row.frame.published)
        for first in times:
            self.assertLessEqual(sum(first <= time < first + 1 for time in times), 2)
        self.assertIn("too_soon", whys)

    def test_a_closed_site_stays_closed(self):
        site = self.open()
        site.close()
        with self.assertRaisesRegex(ValueError, "the site is closed"):
            site.pull_batch(np.zeros((2, 3, 8, 8), np.float32))

    def test_nothing_leaks(self):
        out = np.zeros((2, 3, 8, 8), np.float32)

        def use(rounds):
            for _ in range(rounds):
                with vas.open_many(["gate", "yard"], dir=self.service.dir, threads=2) as site:
                    site.pull_batch(out)
            gc.collect()
            return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

        before = use(3)
        self.assertEqual(use(100), before)

    def test_a_camera_that_comes_later_is_found(self):
        with Service(generated("gate")) as service:
            with vas.open_many(["gate", "late"], dir=service.dir) as site:
                out = np.zeros((2, 3, 8, 8), np.float32)
                self.assertEqual(site.pull_batch(out, timeout=PATIENCE)[1].why, "gone")
                service.configure(generated("gate"), generated("late"))
                service.reload()
                while not site.pull_batch(out, timeout=PATIENCE)[1]:
                    pass
                service.stop()
                while [row.why for row in site.pull_batch(out, timeout=0.1)] != ["gone", "gone"]:
                    pass

    def test_aligned_frames_are_near_each_other(self):
        site = self.open()
        last = None
        for _ in range(5):
            pair = site.pull_aligned(tolerance=0.1, timeout=PATIENCE)
            self.assertTrue(pair and pair.complete)
            self.assertEqual((pair.clock, pair.whys), ("arrival", [None, None]))
            for frame in pair.frames:
                self.assertLessEqual(abs(frame.arrival - pair.at), 0.1)
            self.assertLessEqual(pair.spread, 0.2)
            ids = [frame.id for frame in pair.frames]
            self.assertNotEqual(ids, last)
            last = ids
        self.assertIn("2 of 2 cameras by arrival clock", repr(pair))

    def test_aligned_frames_of_a_time(self):
        site = self.open()
        pair = site.pull_aligned(tolerance=0.1, timeout=PATIENCE)
        again = site.pull_aligned(at=pair.at, tolerance=0.1, timeout=0)
        kept = [(frame.id, other.id) for frame, other in zip(pair.frames, again.frames) if other]
        self.assertTrue(all(first == second for first, second in kept))
        past = site.pull_aligned(at=1.0, timeout=0)
        self.assertEqual((past.frames, past.whys, past.complete), ([None, None], ["apart", "apart"], False))
        with self.assertRaisesRegex(ValueError, 'neither "newest" nor a time'):
            site.pull_aligned(at="oldest")

    def test_what_is_missing_holds_nobody_up(self):
        site = self.open("gate", "none")
        pair = site.pull_aligned(timeout=PATIENCE)
        self.assertEqual(pair.whys, [None, "gone"])
        site = self.open("gate", "silent")
        pair = site.pull_aligned(timeout=0.05)
        self.assertEqual(pair.whys[1], "quiet")

    def test_soft_pictures_are_those_of_opencv(self):
        # The ring is read-only, so a frame's own resize stands for the batch's, which another test shows to be the same.
        with vas.open("gate", dir=self.service.dir, timeout=PATIENCE) as camera:
            frame = camera.read()
        x, y = np.meshgrid(np.arange(640), np.arange(360))
        frame.y[:] = 128 + 60 * np.sin(x / 9) * np.cos(y / 7)
        frame.uv[..., 0] = 128 + 12 * np.sin(x[:180, :320] / 11)
        frame.uv[..., 1] = 128 + 12 * np.cos(y[:180, :320] / 13)
        judge = cv2.cvtColor(frame.nv12, cv2.COLOR_YUV2RGB_NV12)
        for size in [(320, 180), (640, 640), (213, 120), (1000, 999)]:
            with self.subTest(size):
                ours = frame.resized(size, fit="stretch").astype(int)
                self.assertLessEqual(np.abs(ours - cv2.resize(judge, size, interpolation=cv2.INTER_LINEAR)).max(), 2)


if __name__ == "__main__":
    unittest.main()
