"""A real browser as viewer: it decodes and displays what cameras send.

Run by `make test-mediasoup`.
"""

import pathlib
import subprocess
import tempfile
import unittest

from rig import Browser, Camera, Case, Service, Sfu

CLIPS = pathlib.Path(tempfile.mkdtemp(prefix="vas-browser-clips-"))
SIZE = (640, 360)
# Pictures that a browser must decode: some key frames, some seconds.
PICTURES = 75


def clip(profile):
    path = CLIPS / f"{profile}.mp4"
    source = f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate=25:duration=8,noise=alls=3:allf=t,format=yuv420p"
    codec = ["libx265", "-x265-params", "log-level=error"] if profile == "h265" else ["libx264", "-profile:v", profile]
    # 8x8dct and CABAC make streams that really use their profile.
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", source, "-c:v", *codec,
         "-preset", "fast", "-bf", "0", "-g", "25", path],
        check=True,
    )
    return path


class InABrowser(Case):
    async def watch(self, profile, video="copy", announced=None):
        """Makes a browser watch a camera; returns the profile that VAS announced, and the browser's statistics."""
        sfu = await self.enterAsyncContext(Sfu())
        browser = await self.enterAsyncContext(Browser())
        camera = Camera(clip(profile))
        self.addCleanup(camera.kill)
        plain = await sfu.ask("plain")
        service = Service(
            f'[[camera]]\nid = "cam"\nurl = "{camera.url}"\ntransport = "tcp"\n'
            f'[camera.producer]\nrtp = "127.0.0.1:{plain["rtp"]}"\nvideo = "{video}"\n'
        )
        self.addCleanup(service.close)
        service.start()
        await service.until("pictures", lambda it: it["producer"] and it["producer"]["pictures"])
        await service.read("cam")
        parameters, _ = service.parameters("cam")
        [codec] = parameters["rtpParameters"]["codecs"]
        own = codec["parameters"]["profile-level-id"]
        if announced:
            codec["parameters"]["profile-level-id"] = announced
        made = await sfu.ask("produce", transport=plain["id"], parameters=parameters)
        await browser.watch(sfu, made["id"])
        stats = await browser.until(
            "pictures", lambda it: it.get("framesDecoded", 0) >= PICTURES and it["shown"] > PICTURES / 3
        )
        self.assertEqual((stats["frameWidth"], stats["frameHeight"]), SIZE)
        self.assertGreaterEqual(stats["keyFramesDecoded"], 2, stats)
        self.assertEqual(stats["packetsLost"], 0, stats)
        await service.still_read()
        print(f"{profile} ({own}): {stats['framesDecoded']} decoded, {stats['shown']} shown by "
              f"{stats.get('decoderImplementation')}, {stats.get('framesDropped')} dropped")
        self.assertEqual(service.stop(), 0)
        return own

    async def test_baseline_is_passed_on(self):
        self.assertTrue((await self.watch("baseline")).startswith("42"))

    async def test_main_is_passed_on(self):
        self.assertTrue((await self.watch("main")).startswith("4d"))

    async def test_high_is_passed_on_under_the_name_of_main(self):
        # Chromium lists High only with hardware decoding, but its own decoder accepts it too.
        self.assertTrue((await self.watch("high", announced="4d001f")).startswith("64"))

    async def test_h265_is_encoded(self):
        self.assertTrue((await self.watch("h265", video="h264")).startswith("42"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
