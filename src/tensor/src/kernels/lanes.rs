//! Vectors, and how a kind of processor gets its kernels from them.

/// Vectors of signed 16-bit words and unsigned bytes of one kind of processor.
///
/// # Safety
/// Of every function: the processor has the features, and pointers point to as many elements as are named.
pub(super) trait Lanes {
    /// `LEN` words.
    type Words: Copy;
    /// Two times `LEN` bytes.
    type Bytes: Copy;
    const LEN: usize;

    unsafe fn splat(word: i16) -> Self::Words;
    /// Loads words.
    unsafe fn load(from: *const i16) -> Self::Words;
    unsafe fn store(words: Self::Words, to: *mut i16);
    unsafe fn add(a: Self::Words, b: Self::Words) -> Self::Words;
    unsafe fn add_saturating(a: Self::Words, b: Self::Words) -> Self::Words;
    unsafe fn sub(a: Self::Words, b: Self::Words) -> Self::Words;
    unsafe fn min(a: Self::Words, b: Self::Words) -> Self::Words;
    unsafe fn max(a: Self::Words, b: Self::Words) -> Self::Words;
    /// The product of [`crate::color`].
    unsafe fn product(a: Self::Words, b: Self::Words) -> Self::Words;

    /// Loads `LEN / 8` windows.
    unsafe fn windows(row: *const u8, begin: *const u32) -> Self::Bytes;
    /// Loads the orders of `LEN / 8` windows.
    unsafe fn load_order(order: *const [u8; 16]) -> Self::Bytes;
    /// The order of the bytes after those of an order.
    unsafe fn next_bytes(order: Self::Bytes) -> Self::Bytes;
    /// Shuffles the bytes of each window.
    unsafe fn shuffle(windows: Self::Bytes, order: Self::Bytes) -> Self::Words;
    /// Subtracts 128 from the upper bytes of words of which the lower ones are 0.
    unsafe fn center(words: Self::Words) -> Self::Words;
    /// Halves unsigned words.
    unsafe fn half(words: Self::Words) -> Self::Words;
    /// The levels between two times `LEN / 2` pairs of words, by the weights of each pair.
    unsafe fn between(pairs: [Self::Words; 2], weights: *const [i16; 2]) -> Self::Words;

    /// Two vectors of words, less 6 bits, saturated.
    unsafe fn narrow(low: Self::Words, high: Self::Words) -> Self::Bytes;
    unsafe fn store_bytes(bytes: Self::Bytes, to: *mut u8);
    /// Stores bytes of three channels in turns.
    unsafe fn store_packed(bytes: [Self::Bytes; 3], to: *mut u8);

    /// Loads two times `LEN` samples of luma, 7 bits up, in an order that suits [`twice`](Self::twice) and
    /// [`narrow_twice`](Self::narrow_twice).
    unsafe fn load_luma(from: *const u8) -> [Self::Words; 2];
    /// Loads `LEN` pairs of chroma: U less 128 and V less 128, 8 bits up.
    unsafe fn load_chroma(from: *const u8) -> [Self::Words; 2];
    /// Each word two times.
    unsafe fn twice(words: Self::Words) -> [Self::Words; 2];
    /// As [`narrow`](Self::narrow), in the order of columns.
    unsafe fn narrow_twice(words: [Self::Words; 2]) -> Self::Bytes;
}

/// Implements [`Kernels`](super::Kernels) for a kind of processor by its [`Lanes`]. A value of the kind proves that the
/// processor has the features.
macro_rules! kernels {
    ($kind:ty, $lanes:ty, $features:literal) => {
        kernels! { @methods $kind, $lanes, $features,
            fn gray_levels(
                factors: &Factors, upper: &[u8], lower: Option<(&[u8], i16)>, columns: &Columns, to: &mut [i16]
            );
            fn color_levels(
                factors: &Factors, upper: TapRow<'_>, lower: Option<(TapRow<'_>, i16)>, columns: &Columns,
                to: LevelsMut<'_>
            );
            fn bytes(levels: &[i16], to: &mut [u8]);
            fn packed_bytes(levels: [&[i16]; 3], to: &mut [u8]);
            fn floats(levels: &[i16], line: Line, to: &mut [f32]);
            fn packed_floats(levels: [&[i16]; 3], lines: [Line; 3], to: &mut [f32]);
            fn convert_gray(factors: &Factors, luma: &[u8], to: &mut [u8]);
        }
    };
    (@methods $kind:ty, $lanes:ty, $features:literal,
        $(fn $name:ident($($arg:ident: $type:ty),*);)*) => {
        impl Kernels for $kind {
            $(fn $name(self, $($arg: $type),*) {
                #[target_feature(enable = $features)]
                fn on($($arg: $type),*) {
                    // SAFETY: this function has the features.
                    unsafe { rows::$name::<$lanes>($($arg),*) }
                }
                // SAFETY: the processor has the features, as `self` proves.
                unsafe { on($($arg),*) }
            })*

            fn convert_rows<const BGR: bool>(
                self,
                factors: &Factors,
                luma: [&[u8]; 2],
                chroma: &[u8],
                to: [&mut [u8]; 2],
            ) {
                #[target_feature(enable = $features)]
                fn on<const BGR: bool>(
                    factors: &Factors,
                    luma: [&[u8]; 2],
                    chroma: &[u8],
                    to: [&mut [u8]; 2],
                ) {
                    // SAFETY: this function has the features.
                    unsafe { rows::convert_rows::<BGR, $lanes>(factors, luma, chroma, to) }
                }
                // SAFETY: the processor has the features, as `self` proves.
                unsafe { on::<BGR>(factors, luma, chroma, to) }
            }
        }
    };
}
pub(super) use kernels;
