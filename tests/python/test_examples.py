"""The examples of docs/examples, as their users run them."""

import ast
import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import vas_frames as vas
from rig import PATIENCE, ROOT, TARGET, Service, generated

EXAMPLES = ROOT / "docs/examples"
CACHE = pathlib.Path(os.environ.get("VAS_PYTHON_CACHE", pathlib.Path.home() / ".cache/vas-python"))


def people_clip():
    """Debian's recording of people who walk, as H.264 without B-frames; made once."""
    clip = CACHE / "people.mp4"
    if not clip.exists():
        with tempfile.TemporaryDirectory() as folder:
            # As root, apt lets another user download, who may write there.
            os.chmod(folder, 0o777)
            subprocess.run(["apt-get", "-qq", "download", "opencv-doc"], cwd=folder, check=True)
            package, = pathlib.Path(folder).glob("opencv-doc*.deb")
            subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
            recording = next(pathlib.Path(folder).rglob("vtest.avi"))
            part = clip.with_suffix(".part.mp4")
            subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", recording, "-t", "40", "-an", "-c:v", "libx264",
                            "-preset", "veryfast", "-bf", "0", "-g", "20", "-pix_fmt", "yuv420p", part], check=True)
            part.rename(clip)
    return clip


def run(example, *arguments, python=sys.executable):
    """Runs an example to its end; returns its lines."""
    program = subprocess.Popen([python, "-X", "faulthandler", EXAMPLES / example, *map(str, arguments)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, words = program.communicate(timeout=2 * PATIENCE)
    except subprocess.TimeoutExpired:
        # It says where its threads are.
        program.send_signal(signal.SIGABRT)
        out, words = program.communicate()
    if program.returncode != 0:
        raise AssertionError(f"{example} ended with {program.returncode} after {len(out.splitlines())} lines:\n{words}")
    return out.splitlines()


class People(unittest.TestCase):
    """Two models at once on a real RTSP camera that plays a recording of people."""

    def test_people_are_counted_while_motion_is_measured(self):
        camera = subprocess.Popen(
            ["/usr/bin/python3", ROOT / "tests/rig/camera.py", "--mount", f"street={people_clip()},loop"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(camera.stdout.close)
        self.addCleanup(camera.wait)
        self.addCleanup(camera.kill)
        url = json.loads(camera.stdout.readline())["mounts"]["street"]["url"]
        service = self.enterContext(Service(f'[[camera]]\nid = "street"\nurl = "{url}"\n'))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            ran = pool.submit(run, "motion.py", "street", "--dir", service.dir, "--max-fps", 5, "--count", 30)
            try:
                counted = [json.loads(line) for line in run("people.py", "street", "--dir", service.dir, "--count", 8)]
                moving = [json.loads(line) for line in ran.result()]
            except AssertionError as error:
                status = json.dumps(service.status("street"))
                raise AssertionError(f"{error}\n{status}\n{(service.folder / 'log').read_text()}") from None
        self.assertEqual((len(counted), len(moving)), (8, 30))
        for lines in (counted, moving):
            ids = [line["frame_id"] for line in lines]
            self.assertEqual(ids, sorted(set(ids)))
        # The detector sees some of the up to eight people in each picture, not in each one all.
        self.assertGreaterEqual(sum(line["people"] for line in counted), 8, counted)
        for line in counted:
            self.assertEqual(len(line["boxes"]), line["people"])
            for left, top, right, bottom in line["boxes"]:
                self.assertTrue(0 <= left < right <= 768 and 0 <= top < bottom <= 576, line)
        # A real RTSP camera states its clock.
        self.assertLess(abs(counted[-1]["time"] - time.time()), 10 * PATIENCE)
        # Somebody walks, and most of the street does not move.
        later = [line["moving"] for line in moving[10:]]
        self.assertTrue(0 < sum(later) / len(later) < 0.5, later)


class Generated(unittest.TestCase):
    """Examples that any picture will do for."""

    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service(generated("gate"), generated("yard", "320x240", 10)))
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def test_a_batch_goes_through_a_model(self):
        import onnx
        from onnx import TensorProto, helper

        # Means of the channels as scores: the class is the brightest channel.
        picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["batch", 3, 64, 96])
        scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])
        axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
        mean = helper.make_node("ReduceMean", ["picture", "axes"], ["scores"], keepdims=0)
        graph = helper.make_graph([mean], "brightest", [picture], [scores], [axes])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        path = self.folder / "model.onnx"
        onnx.save(model, path)
        lines = run("onnx_batch.py", path, "gate", "yard", "--dir", self.service.dir, "--count", 5)
        answers = [json.loads(line) for line in lines]
        self.assertEqual({answer["camera"] for answer in answers}, {"gate", "yard"})
        for answer in answers:
            self.assertIn(answer["class"], (0, 1, 2))
            # Bright, neither black nor white: the picture is in the batch, normalized.
            self.assertTrue(0.2 < answer["score"] < 0.8, answer)

    def test_a_pipeline_is_fed(self):
        # Debian's interpreter, which has GStreamer's module; the package is the same.
        pictures = self.folder / "%03d.jpg"
        run("appsrc.py", "gate", f"videoconvert ! jpegenc ! multifilesink location={pictures}",
            "--dir", self.service.dir, "--count", 12, python="/usr/bin/python3")
        made = sorted(self.folder.glob("*.jpg"))
        # The source may drop frames if the encoder is slow, but not all.
        self.assertTrue(1 <= len(made) <= 12, made)
        import cv2

        self.assertEqual(cv2.imread(str(made[0])).shape, (360, 640, 3))

    def test_the_notebook_runs(self):
        notebook = json.loads((EXAMPLES / "frames.ipynb").read_text())
        names, values = {}, []
        os.environ["VAS_DIR"] = str(self.service.dir)
        self.addCleanup(os.environ.pop, "VAS_DIR")
        for cell in notebook["cells"]:
            if cell["cell_type"] != "code":
                continue
            self.assertEqual((cell["outputs"], cell["execution_count"]), ([], None), "kept without outputs")
            body = ast.parse("".join(cell["source"])).body
            last = body.pop() if isinstance(body[-1], ast.Expr) else None
            exec(compile(ast.Module(body, []), "frames.ipynb", "exec"), names)
            if last:
                values.append(eval(compile(ast.Expression(last.value), "frames.ipynb", "eval"), names))
        self.assertEqual(values[0], ["gate", "yard"])
        # What the notebook shows for a frame.
        self.assertTrue(isinstance(values[1], vas.Frame) and values[1]._repr_png_().startswith(b"\x89PNG"))
        self.assertEqual([row.camera for row in values[-2]], ["gate", "yard"])

    def test_the_example_reader_refuses_other_processors_without_assertions_too(self):
        code = ("import importlib.util, platform, sys\n"
                "spec = importlib.util.spec_from_file_location('reader', sys.argv[1])\n"
                "module = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(module)\n"
                "platform.machine = lambda: 'aarch64'\n"
                "try:\n    module.Camera('gate', sys.argv[2])\nexcept OSError as error:\n    print(error)\n")
        program = subprocess.run([sys.executable, "-O", "-c", code, EXAMPLES / "reader.py", self.service.dir],
                                 stdout=subprocess.PIPE, text=True, check=True)
        self.assertIn("x86_64", program.stdout)


class Types(unittest.TestCase):
    def test_examples_are_typed(self):
        checked = [name for name in ("people.py", "motion.py", "onnx_batch.py") if (EXAMPLES / name).exists()]
        folder = TARGET / "python"
        program = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.11", "--cache-dir", CACHE / "mypy-examples",
             *(EXAMPLES / name for name in checked)],
            cwd=folder, env=os.environ | {"MYPYPATH": str(folder)}, stdout=subprocess.PIPE, text=True)
        self.assertEqual(program.returncode, 0, program.stdout)


if __name__ == "__main__":
    unittest.main()
