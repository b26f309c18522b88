//! The bytes of `frame.meta`, and the fields that a change affects.

use vas_frame::layout::{ENTRY, Entry, Field, HEADER, Header, MAX_SLOTS, meta_bytes};

use crate::script::{Length, MOST, Meta, Poke, Value};

/// Entries affected by a change of all entries: twice as many as an honest writer has.
const FIRST_SLOTS: u64 = 8;

/// A word in `frame.meta`, or a part of one.
#[derive(Clone, Copy)]
pub(crate) struct MetaWord {
    pub(crate) at: u64,
    pub(crate) len: usize,
}

/// A word and what it becomes.
pub(crate) struct Edit {
    pub(crate) place: MetaWord,
    how: How,
}

enum How {
    Set(Value),
    Xor(u8),
}

impl Edit {
    pub(crate) fn of(&self, present: u64) -> u64 {
        match self.how {
            How::Set(value) => value.of(present),
            How::Xor(bits) => present ^ u64::from(bits),
        }
    }
}

/// The edits of a change to a `frame.meta` of that length.
pub(crate) fn edits(poke: &Poke, meta_len: u64) -> Vec<Edit> {
    let set = |place, value| Edit { place, how: How::Set(value) };
    match *poke {
        Poke::Header { field, value } => vec![set(place(0, nth(HEADER, field)), value)],
        Poke::Entry { slot, field, value } => {
            vec![set(place(entry(slot), nth(ENTRY, field)), value)]
        }
        Poke::Sides { width, height } => [("width", width), ("height", height)]
            .into_iter()
            .flat_map(|(name, value)| {
                let entries = (0..FIRST_SLOTS).map(move |slot| in_entry(slot, name));
                entries.chain([in_header(name)]).map(move |place| set(place, value))
            })
            .collect(),
        Poke::Newest { slot, frame_id } => vec![
            set(in_entry(slot.into(), "frame_id"), frame_id),
            set(in_header("frame_id"), frame_id),
            set(in_header("newest_slot"), Value::Small(slot)),
        ],
        Poke::Meta { at, xor } if meta_len > 0 => {
            vec![Edit {
                place: MetaWord { at: u64::from(at) % meta_len, len: 1 },
                how: How::Xor(xor),
            }]
        }
        Poke::Meta { .. } | Poke::Data { .. } => Vec::new(),
    }
}

/// The initial bytes.
pub(crate) fn image(meta: &Meta<'_>, honest: &[u8], inode: u64) -> Vec<u8> {
    match meta {
        Meta::Spoilt { len, pokes } => {
            let mut image = honest.to_vec();
            image.resize(length(*len, honest.len()), 0);
            set(&mut image, in_header("data_inode"), |_| inode);
            let meta_len = image.len() as u64;
            for edit in pokes.iter().take(MOST).flat_map(|poke| edits(poke, meta_len)) {
                set(&mut image, edit.place, |present| edit.of(present));
            }
            image
        }
        Meta::Raw { bytes, inode: known } => {
            let mut image = bytes.to_vec();
            if *known {
                set(&mut image, in_header("data_inode"), |_| inode);
            }
            image
        }
    }
}

fn length(len: Length, honest: usize) -> usize {
    let longest = meta_bytes(MAX_SLOTS) as usize;
    match len {
        Length::Honest => honest,
        Length::Bytes(len) => len as usize % (longest + 1),
        Length::Huge => longest,
    }
}

/// Changes a word, if the image contains it.
pub(crate) fn set(image: &mut [u8], place: MetaWord, value: impl Fn(u64) -> u64) {
    let from = place.at as usize;
    if let Some(bytes) = image.get_mut(from..from + place.len) {
        let mut word = [0; 8];
        word[..place.len].copy_from_slice(bytes);
        bytes.copy_from_slice(&value(u64::from_le_bytes(word)).to_le_bytes()[..place.len]);
    }
}

pub(crate) fn in_header(name: &str) -> MetaWord {
    place(0, named(HEADER, name))
}

fn in_entry(slot: u64, name: &str) -> MetaWord {
    place(entry_at(slot), named(ENTRY, name))
}

/// Mostly the first entries, sometimes one of the last possible ones.
fn entry(slot: u8) -> u64 {
    if slot < 0xf0 {
        entry_at(u64::from(slot) % FIRST_SLOTS)
    } else {
        entry_at(u64::from(MAX_SLOTS) - 0x100 + u64::from(slot))
    }
}

fn entry_at(slot: u64) -> u64 {
    size_of::<Header>() as u64 + slot * size_of::<Entry>() as u64
}

fn place(base: u64, field: &Field) -> MetaWord {
    MetaWord { at: base + field.offset as u64, len: field.size.min(size_of::<u64>()) }
}

fn nth(table: &'static [Field], which: u8) -> &'static Field {
    &table[which as usize % table.len()]
}

fn named(table: &'static [Field], name: &str) -> &'static Field {
    table.iter().find(|field| field.name == name).unwrap()
}
