//! Files that no honest writer makes: the reader in C refuses what the reader in Rust refuses, with the
//! same messages, and its sanitizers report nothing.

use std::os::unix::fs::{FileExt as _, symlink};

use vas_frame::layout::{ENTRY, Field, HEADER};
use vas_frame::{Frame, Nv12Image, Reader};

use crate::build::Build;
use crate::driver::{CReader, line};
use crate::forged::Forged;
use crate::rig::{Rig, camera, open, publish};

/// xorshift64*: the same attacks on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A potentially harmful value: near `honest`, near a power of two, or random.
    fn value(&mut self, honest: u64) -> u64 {
        let near = (self.next() % 5).wrapping_sub(2);
        match self.below(4) {
            0 => honest.wrapping_add(near),
            1 => honest.wrapping_mul(self.next() % 4),
            2 => (1u64 << self.below(64)).wrapping_add(near),
            _ => self.next(),
        }
    }
}

fn read(bytes: &[u8], at: usize, size: usize) -> u64 {
    let mut word = [0; 8];
    word[..size].copy_from_slice(&bytes[at..at + size]);
    u64::from_le_bytes(word)
}

#[test]
fn headers_are_refused_with_the_messages_of_the_reader_in_rust() {
    let forged = Forged::new();
    forged.shrink();
    let honest = std::fs::read(forged.path("frame.meta")).unwrap();
    let mut c = CReader::start(Build::Sanitized);
    let mut random = Random(1);
    // The other fields do not belong to the format check: see `forged`.
    let fields: Vec<&Field> = HEADER
        .iter()
        .filter(|f| f.size <= 8 && !["data_inode", "state"].contains(&f.name))
        .collect();
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..3000 {
        let mut bytes = honest.clone();
        for _ in 0..=random.below(3) {
            let field = fields[random.below(fields.len())];
            let value = random.value(read(&honest, field.offset, field.size));
            bytes[field.offset..field.offset + field.size]
                .copy_from_slice(&value.to_le_bytes()[..field.size]);
        }
        forged.meta().write_all_at(&bytes, 0).unwrap();
        match Reader::options().dir(forged.dir()).open(camera()) {
            Ok(_) => {
                taken += 1;
                assert_eq!(c.attach(forged.dir()), "OK");
                let (newest, oldest) = (c.id("latest", &[&0]), c.id("next", &[&1, &0, &0]));
                for (frame, found) in [(0, newest), (1, oldest)] {
                    if found.is_ok() {
                        c.pixels("copy", &[&frame, &0]);
                        c.pixels("view", &[&frame]);
                    }
                }
            }
            Err(words) => {
                refused += 1;
                assert_eq!(c.attach(forged.dir()), format!("BAD_FORMAT {words}"));
            }
        }
    }
    assert!(refused > 500 && taken > 500, "{refused} refused, {taken} taken");
}

#[test]
fn entries_read_as_in_rust() {
    let rig = Rig::new();
    let mut export = rig.claim();
    let mut writer = open(&mut export, 20, 10, 3);
    let (mut rust, mut c) = (rig.reader(), CReader::open(Build::Sanitized, rig.path()));
    for id in 1..=3 {
        publish(&mut writer, id);
    }
    let path = rig.path().join("gate/frame.meta");
    let honest = std::fs::read(&path).unwrap();
    let meta = std::fs::File::options().write(true).open(&path).unwrap();
    let mut random = Random(2);
    let guarded: Vec<_> = ["frame_id", "newest_slot", "head_sequence"]
        .map(|name| HEADER.iter().find(|field| field.name == name).unwrap())
        .map(|field| (field.offset, field.size))
        .into_iter()
        // Unknown codes pass through in C, and become "unknown" in Rust.
        .chain((0..3).flat_map(|slot| {
            let fields = ENTRY.iter().filter(|f| !["wall_quality", "decoder"].contains(&f.name));
            fields.map(move |field| (512 + 128 * slot + field.offset, field.size))
        }))
        .collect();
    let (mut given, mut none) = (0, 0);
    for _ in 0..2000 {
        let mut bytes = honest.clone();
        for _ in 0..=random.below(4) {
            let (at, size) = guarded[random.below(guarded.len())];
            let value = random.value(read(&honest, at, size));
            bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
        }
        meta.write_all_at(&bytes, 0).unwrap();
        let id = random.below(4) as u64;
        let no_wait = std::time::Duration::ZERO;
        for (command, frame) in [
            ("newer", rust.seek(id).set_timeout(no_wait).newer()),
            ("next", rust.seek(id).set_timeout(no_wait).next()),
        ] {
            let answer = c.ask(command, &[&0, &id, &0]);
            match frame {
                Ok(frame) => {
                    given += 1;
                    assert_eq!(answer, line(&frame));
                    assert_eq!(copy(&mut c), copy_in_rust(&frame));
                }
                Err(error) => {
                    none += 1;
                    assert!(answer.ends_with(&error.to_string()), "{answer}: {error}");
                }
            }
        }
    }
    assert!(given > 500 && none > 100, "{given} given, {none} not");
    meta.write_all_at(&honest, 0).unwrap();
}

fn copy(c: &mut CReader) -> Vec<u8> {
    c.pixels("copy", &[&0, &0])
}

fn copy_in_rust(frame: &Frame) -> Vec<u8> {
    let mut image = Nv12Image::default();
    frame.copy_if_valid(&mut image).unwrap();
    image.data().to_vec()
}

#[test]
fn short_files_and_non_files_are_refused() {
    let forged = Forged::new();
    let mut c = CReader::start(Build::Sanitized);
    let honest = std::fs::read(forged.path("frame.meta")).unwrap();
    let mut alike = |what: &str| {
        let rust = Reader::options().dir(forged.dir()).open(camera()).unwrap_err().to_string();
        let answer = c.attach(forged.dir());
        let (name, words) = answer.split_once(' ').unwrap();
        assert!(["BAD_FORMAT", "SYSTEM_ERROR"].contains(&name), "{what}: {answer}");
        assert_eq!(words, rust, "{what}");
    };
    for length in [0, 1, 511, 512, 767] {
        forged.meta().set_len(length).unwrap();
        alike("a short frame.meta");
        forged.meta().write_all_at(&honest, 0).unwrap();
    }
    let data = std::fs::File::options().write(true).open(forged.path("frame.data")).unwrap();
    data.set_len(2 * 1_622_016 - 1).unwrap();
    alike("a short frame.data");
    let meta = forged.path("frame.meta");
    std::fs::rename(&meta, forged.path("elsewhere")).unwrap();
    symlink(forged.path("elsewhere"), &meta).unwrap();
    alike("a link");
    std::fs::remove_file(&meta).unwrap();
    std::fs::create_dir(&meta).unwrap();
    alike("a directory");
    std::fs::remove_dir(&meta).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &meta,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    alike("a FIFO without a writer");
}
