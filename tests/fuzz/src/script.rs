//! The content of an input: the initial files, the calls on them, and the changes meanwhile.

use arbitrary::{Arbitrary, Unstructured};

/// The most changes in one place of an input, so that no input is merely long.
pub(crate) const MOST: usize = 32;

/// Parses an input; any bytes are valid, if there are enough of them.
pub(crate) fn read<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(bytes)).ok()
}

/// A reader's run.
#[derive(Arbitrary, Debug)]
pub(crate) struct Script<'a> {
    pub(crate) meta: Meta<'a>,
    pub(crate) data_len: Length,
    pub(crate) writer_lives: bool,
    /// A number of loads to skip, then a change.
    pub(crate) intrusions: Vec<(u8, Poke)>,
    /// Whether the intrusions repeat.
    pub(crate) again: bool,
    pub(crate) calls: Vec<Call>,
}

impl Script<'_> {
    /// The intrusions in order, possibly endless.
    pub(crate) fn intrusions(&self) -> impl Iterator<Item = (u8, Poke)> + use<> {
        // Opening takes fewer than 32 loads; a larger gap would skip most of them.
        let near = |(loads, poke): &(u8, Poke)| (loads % 32, poke.clone());
        let once: Vec<_> = self.intrusions.iter().take(MOST).map(near).collect();
        let how_many = if self.again { usize::MAX } else { once.len() };
        once.into_iter().cycle().take(how_many)
    }
}

/// The initial bytes of `frame.meta`.
#[derive(Arbitrary, Debug)]
pub(crate) enum Meta<'a> {
    /// Those of an honest writer, changed here and there.
    Spoilt { len: Length, pokes: Vec<Poke> },
    /// Arbitrary bytes; if `inode`, with the true inode, which no input can know.
    Raw { bytes: &'a [u8], inode: bool },
}

/// A file's length, relative to an honest writer's.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Length {
    Honest,
    Bytes(u32),
    /// The size of the largest ring, without content.
    Huge,
}

/// A change of a few bytes.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Poke {
    Header {
        field: u8,
        value: Value,
    },
    Entry {
        slot: u8,
        field: u8,
        value: Value,
    },
    /// In the header and the first entries, consistently.
    Sides {
        width: Value,
        height: Value,
    },
    /// In an entry and the header's line of the newest frame.
    Newest {
        slot: u8,
        frame_id: Value,
    },
    Meta {
        at: u32,
        xor: u8,
    },
    Data {
        at: u32,
        xor: u8,
    },
}

/// The new value of a field.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Value {
    This(u64),
    Small(u8),
    Most,
    /// The present value plus or minus a little.
    Near(i8),
    /// A power of two plus or minus a little.
    Power {
        shift: u8,
        near: i8,
    },
}

impl Value {
    pub(crate) fn of(self, present: u64) -> u64 {
        match self {
            Self::This(value) => value,
            Self::Small(value) => value.into(),
            Self::Most => u64::MAX,
            Self::Near(by) => present.wrapping_add_signed(by.into()),
            Self::Power { shift, near } => (1u64 << (shift % 64)).wrapping_add_signed(near.into()),
        }
    }
}

/// An action of the reader, or on it.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Call {
    Open,
    Latest,
    NewerThan {
        id: Id,
        waits: bool,
    },
    /// `answers`: a bit for each frame that is judged.
    NewerThanIf {
        id: Id,
        answers: u8,
    },
    NextAfter {
        id: Id,
        waits: bool,
    },
    /// Checks a previously returned frame again.
    LookAgain(u8),
    Poke(Poke),
    Writer {
        lives: bool,
    },
}

/// The cursor of a call.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Id {
    Zero,
    /// The id of the last returned frame.
    Last,
    This(u64),
}

/// The files that a writer finds in its camera's directory.
#[derive(Arbitrary, Debug)]
pub(crate) struct Leftovers<'a> {
    pub(crate) meta: Option<Meta<'a>>,
    /// What replaces `frame.meta`, if it does not exist.
    pub(crate) meta_plant: Plant<'a>,
    pub(crate) data: Plant<'a>,
    pub(crate) temporary: Plant<'a>,
    pub(crate) readers: Plant<'a>,
    pub(crate) writer: Plant<'a>,
    /// Whether a ring is opened and read as well.
    pub(crate) goes_on: bool,
}

impl Leftovers<'_> {
    /// Whether a directory is in place of a file that the writer creates.
    pub(crate) fn has_directory(&self) -> bool {
        let meta = if self.meta.is_none() { self.meta_plant } else { Plant::Nothing };
        [meta, self.data, self.temporary].iter().any(|plant| matches!(plant, Plant::Directory))
    }
}

/// What is in a file's place.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Plant<'a> {
    Nothing,
    File(&'a [u8]),
    Directory,
    Link,
    Fifo,
}
