//! The number that `bench/peers` burns into each picture of a clip, and what it says about a picture's age.
//!
//! `cameras` sends picture `n` of a camera at `phase + n * interval` of the system's monotonic clock and repeats its clip
//! for ever. So a picture's number in the clip is the time when it was sent, up to the clip's length, and nothing has to
//! pass from the sender to a consumer but the picture itself. Python has the same in `bench/peer/stamp.py`.

/// Columns of the pattern, which are the bits of the number, the highest first.
const BITS: usize = 8;
/// A picture is this many blocks of the pattern wide.
const BLOCKS: usize = 40;
/// Between a black block and a white one.
const GREY: u8 = 128;
/// The golden ratio's multiples spread any number of cameras evenly over an interval.
const GOLDEN: f64 = 0.618_033_988_75;

/// When a camera sends the pictures of its clip.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    /// Nanoseconds from one picture to the next.
    pub interval_ns: u64,
    /// When picture 0 is sent, in nanoseconds.
    pub phase_ns: u64,
}

impl Timeline {
    /// The timeline of a camera with this number.
    #[must_use]
    pub fn new(fps: u32, number: usize) -> Self {
        let interval_ns = 1_000_000_000 / u64::from(fps);
        let phase_ns = ((number as f64 * GOLDEN).fract() * interval_ns as f64) as u64;
        Self { interval_ns, phase_ns }
    }

    /// When the picture is sent that is the `n`th of all.
    #[must_use]
    pub fn sent_ns(&self, n: u64) -> u64 {
        self.phase_ns + n * self.interval_ns
    }

    /// The number of the first picture that is sent after `now_ns`.
    #[must_use]
    pub fn next_after(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.phase_ns) / self.interval_ns + 1
    }

    /// How long ago a picture was sent whose clip of `pictures` gives it this number. Ages from the clip's length on
    /// start again at zero.
    #[must_use]
    pub fn age_ns(&self, number: u8, pictures: u64, now_ns: u64) -> u64 {
        let cycle = pictures * self.interval_ns;
        (now_ns + cycle - self.sent_ns(u64::from(number)) % cycle) % cycle
    }
}

/// The camera's number, which is the digits at the end of its name.
#[must_use]
pub fn number_of(name: &str) -> Option<usize> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name[name.len() - digits..].parse().ok()
}

/// The number in a picture, from its luma. `None` if the pattern is not whole: its second row is the first, inverted.
#[must_use]
pub fn read(luma: &[u8], width: usize) -> Option<u8> {
    let block = width / BLOCKS;
    let white = |row: usize, column: usize| {
        let at = (row * block + block / 2) * width + column * block + block / 2;
        luma.get(at).is_some_and(|sample| *sample > GREY)
    };
    (0..BITS).try_fold(0, |number, column| {
        let bit = white(0, column);
        (bit != white(1, column)).then_some(number << 1 | u8::from(bit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_age_since_it_was_sent() {
        let timeline = Timeline::new(30, 7);
        let n = timeline.next_after(123_456_789_000);
        let sent = timeline.sent_ns(n);
        assert!(sent > 123_456_789_000 && sent - 123_456_789_000 <= timeline.interval_ns);
        let number = u8::try_from(n % 240).expect("below 240");
        assert_eq!(timeline.age_ns(number, 240, sent), 0);
        assert_eq!(timeline.age_ns(number, 240, sent + 5_000_000), 5_000_000);
    }

    #[test]
    fn a_number_is_read_back_and_a_broken_pattern_is_not() {
        let width = 640;
        let mut luma = vec![16; width * 32];
        for column in 0..BITS {
            let row = usize::from(0b1010_0111_u8 >> (BITS - 1 - column) & 1 == 0);
            for y in row * 16..row * 16 + 16 {
                luma[y * width + column * 16..][..16].fill(235);
            }
        }
        assert_eq!(read(&luma, width), Some(0b1010_0111));
        luma[8 * width..9 * width].fill(16);
        assert_eq!(read(&luma, width), None);
        assert_eq!(read(&luma[..width], width), None);
    }

    #[test]
    fn a_number_stands_at_the_end_of_a_name() {
        assert_eq!(number_of("cam017"), Some(17));
        assert_eq!(number_of("rtsp://127.0.0.1:1/3"), Some(3));
        assert_eq!(number_of("gate"), None);
    }
}
