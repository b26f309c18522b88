//! Files and test pictures as sources.

use vas_media::{
    Carrier, Codec, Frame, PixelLayout, Received, SourceErrorKind, StopFlag, monotonic_ns,
};

use crate::clips::{Clip, decode_all, open, request};

fn clip() -> Clip {
    Clip::encode(
        "clip.mp4",
        "testsrc2=size=64x64:rate=50:duration=0.4",
        &["-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p"],
    )
}

#[test]
fn a_file_plays_in_real_time_to_its_end() {
    let clip = clip();
    let mut source = clip.open();
    assert_eq!(source.stream().carrier, Carrier::File);
    let began = monotonic_ns();
    let mut first = None;
    let mut count = 0;
    while let Some(packet) = source.next_packet().unwrap() {
        let dts = packet.dts_ns().unwrap();
        let (first_dts, first_arrival) = *first.get_or_insert((dts, packet.arrival_ns()));
        assert!(first_arrival >= began);
        let played = packet.arrival_ns() - first_arrival;
        assert!(played >= (dts - first_dts) as u64, "packet {count} came early");
        assert_eq!(packet.is_key(), count == 0);
        assert!(packet.size() > 0 && !packet.corrupt());
        count += 1;
    }
    assert_eq!(count, 20);
    assert!(source.next_packet().unwrap().is_none());
}

#[test]
fn a_packet_can_be_kept_twice() {
    let clip = clip();
    let mut source = clip.open();
    let mut packet = source.next_packet().unwrap().unwrap();
    packet.set_discontinuity(true);
    let copy = packet.clone();
    drop(packet);
    assert!(copy.is_key() && copy.discontinuity() && copy.size() > 0);
    let mut decoder = vas_media::open_software(source.stream(), 2).unwrap();
    std::thread::spawn(move || decoder.send(&copy).unwrap()).join().unwrap();
}

#[test]
fn names_that_look_like_protocols_are_files() {
    let clip = clip();
    let odd = clip.dir().join("http:x y.mp4");
    std::fs::rename(clip.path(), &odd).unwrap();
    for url in [odd.display().to_string(), format!("file://{}", odd.display())] {
        assert_eq!(decode_all(&mut *open(&url), |_| {}), 20, "{url}");
    }
}

#[test]
fn a_raw_stream_without_timestamps_plays() {
    let clip = Clip::encode(
        "raw.h264",
        "testsrc2=size=64x64:rate=50:duration=0.2",
        &["-c:v", "libx264", "-pix_fmt", "yuv420p", "-f", "h264"],
    );
    assert_eq!(decode_all(&mut *clip.open(), |_| {}), 10);
}

#[test]
fn a_test_picture_never_ends() {
    let mut source = open("testsrc:130x66@200");
    assert_eq!(source.stream().codec, Codec::Raw);
    assert_eq!(source.stream().carrier, Carrier::Generated);
    assert_eq!(source.stream().to_string(), "rawvideo 130x66 200 fps");
    let mut decoder = vas_media::open_software(source.stream(), 1).unwrap();
    let mut frame = Frame::new();
    let mut last = (i64::MIN, 0);
    for _ in 0..20 {
        let packet = source.next_packet().unwrap().unwrap();
        assert_eq!(packet.size(), 130 * 66 * 3 / 2);
        assert!(packet.is_key());
        decoder.send(&packet).unwrap();
        assert_eq!(decoder.receive(&mut frame).unwrap(), Received::Frame);
        assert_eq!(frame.layout(), PixelLayout::Yuv420p);
        assert_eq!((frame.width(), frame.height()), (130, 66));
        assert_eq!(frame.arrival_ns(), packet.arrival_ns());
        assert!((frame.pts_ns().unwrap(), frame.arrival_ns()) > last);
        last = (frame.pts_ns().unwrap(), frame.arrival_ns());
    }
}

#[test]
fn a_stop_ends_the_wait_for_the_next_picture() {
    let stop = StopFlag::new();
    // One picture in a hundred seconds, so that only the flag can end the second wait.
    let mut source = vas_media::open(&request("testsrc:64x64@1/100"), &stop).unwrap();
    source.next_packet().unwrap().unwrap();
    let waiting = std::thread::spawn(move || source.next_packet().unwrap_err());
    stop.stop();
    assert_eq!(waiting.join().unwrap().kind, SourceErrorKind::Stopped);
}

#[test]
fn unplayable_files_have_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, data: &[u8]| {
        let file = dir.path().join(name);
        std::fs::write(&file, data).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let kind = |url: &str| vas_media::open(&request(url), &StopFlag::new()).err().unwrap().kind;
    assert_eq!(kind(dir.path().join("none.mp4").to_str().unwrap()), SourceErrorKind::NotFound);
    assert!(matches!(kind(&write("junk.mp4", &[7; 4096])), SourceErrorKind::Garbage(_)));
    assert!(matches!(kind(dir.path().to_str().unwrap()), SourceErrorKind::NotReadable(_)));
    assert!(matches!(kind("http://host/x"), SourceErrorKind::BadUrl { .. }));
    let sound = Clip::encode(
        "a.wav",
        "testsrc2=size=64x64:duration=0.1[out0];sine=duration=0.1[out1]",
        &["-map", "0:a"],
    );
    assert_eq!(kind(sound.path().to_str().unwrap()), SourceErrorKind::NoVideo);
}

#[test]
fn a_playlist_does_not_access_the_network() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("list.m3u8");
    let list = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://{address}/a.ts\n#EXT-X-ENDLIST\n"
    );
    std::fs::write(&file, list).unwrap();
    let opened = vas_media::open(&request(file.to_str().unwrap()), &StopFlag::new());
    assert!(opened.is_err());
    let called = listener.accept().err().map(|error| error.kind());
    assert_eq!(called, Some(std::io::ErrorKind::WouldBlock));
}
