//! Recorded files, checked with FFmpeg's demuxer.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vas_media::{Mp4Writer, MuxError, ParameterSets, RawTimes, Source, Timeline};

use crate::clips::Clip;

const FRAGMENT: Duration = Duration::from_secs(1);

/// Records a source to its end, as the recorder does.
fn record(source: &mut dyn Source, writer: Box<dyn Write + Send>) -> Result<usize, MuxError> {
    let stream = source.stream().clone();
    let mut sets = ParameterSets::of(&stream.parameters).unwrap();
    let delay = stream.parameters.reorder_delay();
    let mut line = Timeline::new(stream.time_base, stream.fps, delay);
    let mut mp4: Option<Mp4Writer> = None;
    let mut writer = Some(writer);
    let mut count = 0;
    while let Some(packet) = source.next_packet().unwrap() {
        let placed = line.place(packet.raw_times(), packet.arrival_ns());
        if let Some(writer) = writer.take() {
            let sets = sets.as_mut().and_then(|sets| sets.read(&packet).unwrap());
            let began = "2026-11-25T00:00:00Z";
            mp4 = Some(Mp4Writer::begin(&stream, sets.as_deref(), FRAGMENT, began, writer)?);
        }
        mp4.as_mut().unwrap().write(&packet, placed, line.nominal())?;
        count += 1;
    }
    mp4.unwrap().finish()?;
    Ok(count)
}

/// MD5 of each packet or picture that FFmpeg reads from a file with the given arguments.
fn md5s(file: &Path, arguments: &[&str]) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-threads", "1", "-i"])
        .arg(file)
        .args(arguments)
        .args(["-f", "framemd5", "-"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// Checks that a file begins with the boxes that browsers require.
fn assert_playable_in_browsers(bytes: &[u8], entry: &[u8; 4], record: &[u8; 4]) {
    let has = |needle: &[u8]| bytes.windows(4).take(2000).any(|window| window == needle);
    assert_eq!(&bytes[4..8], b"ftyp");
    assert!(has(b"moov") && has(b"mvex") && has(entry) && has(record));
}

fn clip(name: &str, encoder: &[&str]) -> Clip {
    let common = ["-bf", "2", "-g", "25", "-pix_fmt", "yuv420p"];
    Clip::encode(name, "testsrc2=size=96x64:rate=25:duration=2.2", &[encoder, &common].concat())
}

/// Counts the bytes written.
#[derive(Clone, Default)]
struct Count(Arc<Mutex<usize>>);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.0.lock().unwrap() += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn fragments_end_even_if_timestamps_stand_still() {
    let noise = "nullsrc=size=640x360:rate=25:duration=1,geq=random(1)*255:128:128";
    let clip = Clip::encode("clip.h264", noise, &["-c:v", "libx264", "-g", "1", "-qp", "20"]);
    let mut source = clip.open();
    let stream = source.stream().clone();
    let packet = source.next_packet().unwrap().unwrap();
    let mut sets = ParameterSets::of(&stream.parameters).unwrap().unwrap();
    let sets = sets.read(&packet).unwrap();
    let (count, began) = (Count::default(), "2026-11-25T00:00:00Z");
    let writer = Box::new(count.clone());
    let mut mp4 = Mp4Writer::begin(&stream, sets.as_deref(), FRAGMENT, began, writer).unwrap();
    let mut line = Timeline::new(stream.time_base, stream.fps, 0);
    let (mut given, mut kept) = (0, 0);
    while given < 48 << 20 {
        // Always the same time, as from a camera whose RTP timestamps never change.
        let placed = line.place(RawTimes { pts: Some(0), dts: None }, 0);
        mp4.write(&packet, placed, line.nominal()).unwrap();
        given += packet.size();
        kept = kept.max(given.saturating_sub(*count.0.lock().unwrap()));
    }
    assert!(kept <= (16 << 20) + 2 * packet.size(), "{kept} bytes were kept in memory");
    mp4.finish().unwrap();
}

#[test]
fn recordings_contain_the_same_packets_and_pictures() {
    let x264 = ["-c:v", "libx264"];
    let x265 = ["-c:v", "libx265", "-x265-params", "log-level=error"];
    for (name, encoder, entry, sets) in [
        ("clip.mp4", &x264[..], b"avc1", b"avcC"),
        ("clip.h264", &x264[..], b"avc1", b"avcC"),
        ("clip.h265", &x265[..], b"hvc1", b"hvcC"),
    ] {
        let clip = clip(name, encoder);
        let recorded = clip.dir().join("recorded.mp4");
        let file = std::fs::File::create(&recorded).unwrap();
        assert_eq!(record(clip.open().as_mut(), Box::new(file)).unwrap(), 55, "{name}");
        assert_playable_in_browsers(&std::fs::read(&recorded).unwrap(), entry, sets);
        let pictures = ["-fps_mode", "passthrough"];
        assert_eq!(md5s(&recorded, &pictures), md5s(clip.path(), &pictures), "{name}");
        if name == "clip.mp4" {
            let packets = ["-c", "copy"];
            assert_eq!(md5s(&recorded, &packets), md5s(clip.path(), &packets));
        }
    }
}

#[test]
fn unsupported_codecs_are_refused() {
    let mut source = crate::clips::open("testsrc:64x64@25");
    let words = record(source.as_mut(), Box::new(io::sink())).unwrap_err().to_string();
    assert!(words.starts_with("rawvideo can't be put into an MP4 file"), "{words}");
}

/// A disk that is full after a number of bytes; keeps each write.
struct Disk(Arc<Mutex<Vec<Vec<u8>>>>, usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap();
        let used: usize = kept.iter().map(Vec::len).sum();
        if used + bytes.len() > self.1 {
            return Err(io::Error::from_raw_os_error(28));
        }
        kept.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_reported_and_earlier_fragments_can_be_played() {
    let clip = clip("clip.mp4", &["-c:v", "libx264"]);
    let whole = Arc::new(Mutex::new(Vec::new()));
    record(clip.open().as_mut(), Box::new(Disk(Arc::clone(&whole), usize::MAX))).unwrap();
    let all = whole.lock().unwrap().concat();
    let second = all.windows(4).enumerate().filter(|(_, four)| *four == b"moof").nth(1).unwrap().0;
    let kept = Arc::new(Mutex::new(Vec::new()));
    let failed = record(clip.open().as_mut(), Box::new(Disk(Arc::clone(&kept), second + 100)));
    let Err(MuxError::Write(error)) = failed else { panic!("{failed:?}") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let cut = clip.dir().join("cut.mp4");
    std::fs::write(&cut, kept.lock().unwrap().concat()).unwrap();
    assert_eq!(md5s(&cut, &["-c", "copy"]).len(), 25);
}
