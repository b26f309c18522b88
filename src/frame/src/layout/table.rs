//! A macro that generates a struct, its offset assertions and its table from one list of fields.

/// One field of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The struct that it belongs to: `header`, `entry` or `window`.
    pub part: &'static str,
    /// The field's name.
    pub name: &'static str,
    /// Byte offset in its part.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
    /// Its meaning.
    pub meaning: &'static str,
}

/// Declares a `#[repr(C, align(64))]` struct of atomics with explicit offsets, and its table.
///
/// The model checker's atomics are larger than their values, so its structs have the fields but not
/// the offsets.
macro_rules! layout {
    (
        $(#[$doc:meta])*
        pub struct $name:ident = $table:ident, $part:literal, $size:literal {
            $($offset:literal => $field:ident: $type:ty, $meaning:literal;)*
        }
    ) => {
        $(#[$doc])*
        #[repr(C, align(64))]
        #[derive(Debug)]
        pub struct $name {
            $(#[doc = $meaning] pub(crate) $field: $type,)*
        }

        #[doc = concat!("The table of [`", stringify!($name), "`].")]
        pub const $table: &[Field] = &[
            $(Field {
                part: $part,
                name: stringify!($field),
                offset: $offset,
                size: size_of::<$type>(),
                meaning: $meaning,
            },)*
        ];

        #[cfg(not(loom))]
        const _: () = {
            assert!(size_of::<$name>() == $size);
            let mut end = 0;
            $(
                assert!(std::mem::offset_of!($name, $field) == $offset);
                assert!(end == $offset, "no gaps");
                end = $offset + size_of::<$type>();
            )*
            assert!(end == $size);
        };
    };
}

pub(crate) use layout;

/// FNV-1a, 64 bits, over the lines `frame.meta VERSION` and, for each field, `PART NAME OFFSET SIZE`,
/// each ended by a line feed, numbers in decimal.
#[must_use]
pub const fn layout_hash(version: u32, tables: &[&[Field]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    hash = text(hash, "frame.meta ");
    hash = number(hash, version as usize);
    hash = byte(hash, b'\n');
    let mut t = 0;
    while t < tables.len() {
        let mut f = 0;
        while f < tables[t].len() {
            let field = &tables[t][f];
            hash = byte(text(hash, field.part), b' ');
            hash = byte(text(hash, field.name), b' ');
            hash = byte(number(hash, field.offset), b' ');
            hash = byte(number(hash, field.size), b'\n');
            f += 1;
        }
        t += 1;
    }
    hash
}

const fn byte(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

const fn text(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = byte(hash, bytes[i]);
        i += 1;
    }
    hash
}

const fn number(hash: u64, value: usize) -> u64 {
    let hash = if value >= 10 { number(hash, value / 10) } else { hash };
    byte(hash, b'0' + (value % 10) as u8)
}
