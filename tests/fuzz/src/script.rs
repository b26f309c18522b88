//! What an input says: the files to begin with, the calls on them, and what changes meanwhile.

use arbitrary::{Arbitrary, Unstructured};

/// Most changes that an input makes in one place, so that no input is merely long.
pub(crate) const MOST: usize = 32;

/// Reads an input; any bytes are one, if there are enough of them.
pub(crate) fn read<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(bytes)).ok()
}

/// A reader's run.
#[derive(Arbitrary, Debug)]
pub(crate) struct Script<'a> {
    pub(crate) meta: Meta<'a>,
    pub(crate) data_len: Length,
    pub(crate) writer_lives: bool,
    /// Loads to let pass, then a change.
    pub(crate) intrusions: Vec<(u8, Poke)>,
    /// Whether the intrusions begin again when they are through.
    pub(crate) again: bool,
    pub(crate) calls: Vec<Call>,
}

impl Script<'_> {
    /// The intrusions in their order, perhaps without end.
    pub(crate) fn intrusions(&self) -> impl Iterator<Item = (u8, Poke)> + use<> {
        // Opening takes fewer than 32 loads. More than that at a time would pass by most of them.
        let near = |(loads, poke): &(u8, Poke)| (loads % 32, poke.clone());
        let once: Vec<_> = self.intrusions.iter().take(MOST).map(near).collect();
        let how_many = if self.again { usize::MAX } else { once.len() };
        once.into_iter().cycle().take(how_many)
    }
}

/// The bytes of `frame.meta` to begin with.
#[derive(Arbitrary, Debug)]
pub(crate) enum Meta<'a> {
    /// Those of an honest writer, changed here and there.
    Spoilt { len: Length, pokes: Vec<Poke> },
    /// Any; with the true inode where that is told, since no input can know it.
    Raw { bytes: &'a [u8], inode: bool },
}

/// A file's length, from the one that an honest writer gives it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Length {
    Honest,
    Bytes(u32),
    /// As long as the largest ring, and with nothing in it.
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
    /// In the header and in the first entries, which then agree.
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

/// What a field becomes.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Value {
    This(u64),
    Small(u8),
    Most,
    /// The present value and a little more or less.
    Near(i8),
    /// A power of two and a little more or less.
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

/// One thing that a reader does, or that is done to it.
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
    /// Looks again at a frame that was handed out before.
    LookAgain(u8),
    Poke(Poke),
    Writer {
        lives: bool,
    },
}

/// The id to ask for frames above.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Id {
    Zero,
    /// That of the frame handed out last.
    Last,
    This(u64),
}

/// What a writer finds in its camera's directory.
#[derive(Arbitrary, Debug)]
pub(crate) struct Leftovers<'a> {
    pub(crate) meta: Option<Meta<'a>>,
    /// What stands in place of `frame.meta` if that does not.
    pub(crate) meta_plant: Plant<'a>,
    pub(crate) data: Plant<'a>,
    pub(crate) temporary: Plant<'a>,
    pub(crate) readers: Plant<'a>,
    pub(crate) writer: Plant<'a>,
    /// Whether a ring is opened and read, too.
    pub(crate) goes_on: bool,
}

impl Leftovers<'_> {
    /// Whether a folder stands where the writer makes a file.
    pub(crate) fn has_directory(&self) -> bool {
        let meta = if self.meta.is_none() { self.meta_plant } else { Plant::Nothing };
        [meta, self.data, self.temporary].iter().any(|plant| matches!(plant, Plant::Directory))
    }
}

/// Something in a file's place.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Plant<'a> {
    Nothing,
    File(&'a [u8]),
    Directory,
    Link,
    Fifo,
}
