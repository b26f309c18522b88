//! Scaled exports: the bytes of the document, and metadata that maps them back.

use std::process::Command;

use vas_frame::{Nv12Image, Rect, Size};
use vas_media::{
    Frame, PixelLayout, Received, RtspClient, SourceRequest, StopFlag, StreamInfo, Transport,
};
use vas_scale::{ColorInfo, Fit, Plan, Plane, Request, Source, reference};

use super::rig::{LONG, Rig, decoded};

/// Decodes the first picture of a clip that FFmpeg makes.
fn clip(arguments: &[&str]) -> (StreamInfo, Frame) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mkv");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=174x98", "-frames:v", "1"])
        .args(arguments)
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    let request = SourceRequest {
        url: path.to_str().unwrap().into(),
        transport: Transport::Auto,
        client: RtspClient::Auto,
        connect_timeout: LONG,
        read_timeout: LONG,
        sound: false,
    };
    let mut source = vas_media::open(&request, &StopFlag::new()).unwrap();
    let stream = source.stream().clone();
    let mut decoder = vas_media::open_software(&stream, 1).unwrap();
    decoder.send(&source.next_packet().unwrap().unwrap()).unwrap();
    decoder.finish().unwrap();
    let mut frame = Frame::new();
    assert_eq!(decoder.receive(&mut frame).unwrap(), Received::Frame);
    (stream, frame)
}

/// The slot that a frame becomes. It is made once there is a reader, since an older one is not current.
fn exported(settings: &str, frame: impl FnOnce() -> (StreamInfo, Frame)) -> (Vec<u8>, Rect, Size) {
    let mut rig = Rig::with_camera("slots = 4", &format!("[camera.export]\n{settings}\n"));
    let mut reader = rig.reader();
    let (stream, frame) = frame();
    rig.warm_up(&stream, &frame);
    let read = reader.latest().unwrap();
    let mut image = Nv12Image::default();
    read.copy_if_valid(&mut image).unwrap();
    (image.data().to_vec(), read.meta().content, read.meta().source)
}

fn planes(frame: &Frame) -> Source<'_> {
    let plane = |i| Plane::new(frame.plane(i), frame.stride(i));
    match frame.layout() {
        PixelLayout::Yuv420p => Source::Yuv420p { y: plane(0), u: plane(1), v: plane(2) },
        PixelLayout::Yuv420p10 => Source::Yuv420p10 { y: plane(0), u: plane(1), v: plane(2) },
        other => panic!("{other:?}"),
    }
}

#[test]
fn exports_of_each_fit_and_depth_are_those_of_the_document() {
    let size = |width, height, fit| Request { width, height, fit };
    let requests = [
        ("width = 61", size(Some(61), None, Fit::Fit)),
        ("width = 64\nheight = 64\nfit = \"letterbox\"", size(Some(64), Some(64), Fit::Letterbox)),
        ("width = 174\nheight = 33\nfit = \"stretch\"", size(Some(174), Some(33), Fit::Stretch)),
        // Larger than the picture: bars around it as it is.
        (
            "width = 200\nheight = 200\nfit = \"letterbox\"",
            size(Some(200), Some(200), Fit::Letterbox),
        ),
    ];
    let clips = [
        ("yuv420p", &["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p"][..]),
        ("yuv420p10", &["-c:v", "ffv1", "-pix_fmt", "yuv420p10le"]),
    ];
    for (name, arguments) in clips {
        let (_, frame) = clip(arguments);
        for (settings, request) in requests {
            let plan = Plan::new((174, 98), request, ColorInfo::default()).unwrap();
            let expected = reference::scale(&planes(&frame), &plan);
            let (bytes, content, source) = exported(settings, || clip(arguments));
            assert!(bytes == [expected.luma, expected.chroma].concat(), "{name}, {settings}");
            let fitted = plan.content();
            let fitted =
                Rect { x: fitted.x, y: fitted.y, width: fitted.width, height: fitted.height };
            assert_eq!((content, source), (fitted, Size { width: 174, height: 98 }), "{settings}");
        }
    }
}

/// RGB is converted first, and what fits as it is is copied.
#[test]
fn other_formats_are_converted_and_smaller_pictures_stay() {
    let rgb = || clip(&["-c:v", "ffv1", "-pix_fmt", "bgr0"]);
    let whole = |width, height| Rect { x: 0, y: 0, width, height };
    let (converted, ..) = exported("", rgb);
    let (luma, chroma) = converted.split_at(174 * 98);
    let source = Source::Nv12 { y: Plane::new(luma, 174), uv: Plane::new(chroma, 174) };
    let request = Request { width: Some(80), ..Request::default() };
    let plan = Plan::new((174, 98), request, ColorInfo::default()).unwrap();
    let expected = reference::scale(&source, &plan);
    let (bytes, content, _) = exported("width = 80", rgb);
    assert!(bytes == [expected.luma, expected.chroma].concat());
    assert_eq!(content, whole(80, 45));

    let small = || {
        let (stream, mut frames) = decoded("64x48", 1);
        (stream, frames.remove(0))
    };
    let (bytes, content, source) = exported("width = 640", small);
    assert_eq!((content, source), (whole(64, 48), Size { width: 64, height: 48 }));
    assert_eq!(bytes, exported("", small).0);
}

/// Another size of the camera's picture changes the scaler, and no epoch where the export stays as large.
#[test]
fn a_change_of_the_cameras_size_keeps_the_epoch_of_an_export_of_one_size() {
    let fit = "width = 64\nheight = 64\nfit = \"letterbox\"";
    let mut rig = Rig::with_camera("slots = 4", &format!("[camera.export]\n{fit}\n"));
    let mut reader = rig.reader();
    let mut seen = Vec::new();
    for size in ["320x240", "640x320"] {
        let (stream, frames) = decoded(size, 1);
        rig.warm_up(&stream, &frames[0]);
        let meta = *reader.latest().unwrap().meta();
        seen.push((meta.epoch, meta.content.height, meta.source));
    }
    let size = |width, height| Size { width, height };
    assert_eq!((seen[0].1, seen[0].2), (48, size(320, 240)));
    assert_eq!((seen[1].1, seen[1].2), (32, size(640, 320)));
    assert_eq!(seen[0].0, seen[1].0, "one epoch");
}
