//! A `frame.meta` with a distinct value in every field, read by every implementation of the layout.

use std::path::{Path, PathBuf};
use std::process::Command;

use vas_frame::layout::{ENTRY, Field, HEADER, LAYOUT_HASH, MAGIC};

use crate::build::{Build, run};

const SLOTS: u32 = 2;
const SIZE: usize = 512 + 128 * SLOTS as usize;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/frame.meta")
}

/// The required value of a header field in a valid file, for a picture of 1366 x 767; `None` if any value
/// will do.
fn fixed(field: &Field) -> Option<u64> {
    Some(match field.name {
        "version" => 2,
        "width" => 1366,
        "height" => 767,
        "pixel_format" | "reserved_4" | "reserved_272" => 0,
        "stride" => 1408,
        "data_size" => 1408 * (767 + 384),
        "newest_slot" | "state" | "copying" => 1,
        "magic" => MAGIC,
        "layout_hash" => LAYOUT_HASH,
        "meta_size" => SIZE as u64,
        "header_size" => 512,
        "entry_size" => 128,
        "slot_count" => SLOTS.into(),
        "uv_offset" => 1408 * 767,
        "slot_stride" => 1_622_016,
        "ring_size" => 2 * 1_622_016,
        "head_sequence" => 0x0202,
        "sequence" => 0x0404,
        _ => return None,
    })
}

/// Four bytes for an offset, different at every offset.
fn noise(at: usize) -> [u8; 4] {
    ((at / 4 + 1) as u32).wrapping_mul(0x9e37_79b9).to_le_bytes()
}

/// The bytes of a part that starts at byte `first`.
fn part(table: &[Field], first: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in table {
        assert_eq!(bytes.len(), field.offset, "{}", field.name);
        let words = match (field.name, fixed(field)) {
            ("camera_id", _) => b"golden-camera_1.A".to_vec(),
            (_, Some(value)) => value.to_le_bytes()[..field.size.min(8)].to_vec(),
            (_, None) => {
                (0..field.size).step_by(4).flat_map(|i| noise(first + field.offset + i)).collect()
            }
        };
        bytes.extend(words);
        bytes.resize(field.offset + field.size, 0);
    }
    bytes
}

pub(crate) fn golden() -> Vec<u8> {
    let entries = (0..SLOTS as usize).flat_map(|slot| part(ENTRY, 512 + 128 * slot));
    part(HEADER, 0).into_iter().chain(entries).collect()
}

/// `name=value` for each word of each field, in the order of the tables.
fn dump(bytes: &[u8]) -> Vec<String> {
    let lines = |part: String, table: &'static [Field], bytes: &[u8]| -> Vec<String> {
        let words = |field: &'static Field| {
            let words = bytes[field.offset..field.offset + field.size].chunks(8).map(|word| {
                let mut value = [0; 8];
                value[..word.len()].copy_from_slice(word);
                u64::from_le_bytes(value)
            });
            let many = field.size > 8;
            let name = format!("{part}.{}", field.name);
            let index = move |i| if many { format!(".{i}") } else { String::new() };
            words
                .enumerate()
                .map(move |(i, v)| format!("{name}{}={v}", index(i)))
                .collect::<Vec<_>>()
        };
        table.iter().flat_map(words).collect()
    };
    let (header, entries) = bytes.split_at(512);
    let mut all = lines("header".into(), HEADER, header);
    for (slot, entry) in entries.chunks_exact(128).enumerate() {
        all.extend(lines(format!("entry.{slot}"), ENTRY, entry));
    }
    all
}

#[test]
fn the_golden_file_has_this_layout() {
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path().parent().unwrap()).unwrap();
        std::fs::write(path(), golden()).unwrap();
    }
    let file = std::fs::read(path()).unwrap();
    assert!(file == golden(), "the layout changed; BLESS=1 rewrites tests/golden/frame.meta");
}

#[test]
fn c_has_the_same_layout_on_every_processor() {
    let dir = tempfile::tempdir().unwrap();
    // The second file has distinct values also in reserved fields and in fields with a single valid
    // value.
    let all_noise = (0..SIZE).step_by(4).flat_map(noise).collect();
    for bytes in [golden(), all_noise] {
        let file = dir.path().join("frame.meta");
        std::fs::write(&file, &bytes).unwrap();
        let hash = [format!("layout_hash={LAYOUT_HASH}"), format!("LAYOUT_HASH={LAYOUT_HASH}")];
        let expected: Vec<_> = hash.into_iter().chain(dump(&bytes)).collect();
        for build in Build::ALL {
            let said = run(build.program(&["tests/dump.c"]).arg(&file));
            assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{build:?}");
        }
    }
}

/// The example in Python has every named field at its offset.
#[test]
fn python_has_the_same_layout() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/reader.py");
    let program = "\
import importlib.util, sys, numpy
spec = importlib.util.spec_from_file_location('reader', sys.argv[1])
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)
meta = open(sys.argv[2], 'rb').read()
def show(part, layout, offset):
    for name, value in zip(layout.names, numpy.frombuffer(meta, layout, 1, offset)[0].item()):
        value = int.from_bytes(value, 'little') if isinstance(value, bytes) else value
        print(f'{part}.{name}={value % 2**64}')
show('header', reader.HEADER, 0)
show('entry.0', reader.ENTRY, 512)
show('entry.1', reader.ENTRY, 512 + reader.ENTRY.itemsize)
";
    let said =
        run(Command::new("/usr/bin/python3").args(["-B", "-c", program, script]).arg(path()));
    let expected = dump(&golden());
    assert!(said.lines().count() > 30, "{said}");
    for line in said.lines() {
        assert!(expected.iter().any(|e| e == line), "reader.py: {line}");
    }
}
