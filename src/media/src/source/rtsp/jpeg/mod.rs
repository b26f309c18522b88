//! Depacketizes JPEG over RTP: RFC 2435, and ONVIF's header extension (Streaming Specification, "JPEG over RTP"), in which
//! a camera sends a picture's own headers. Pure.
//!
//! RFC 2435 encodes width and height in a byte each, in units of 8 pixels, so the largest side is 2040. For larger
//! pictures only the extension states the size.

mod headers;

use std::collections::VecDeque;
use std::time::Instant;

use headers::Headers;

/// More than a 16K picture needs, and the range of the 24-bit offsets in packets.
const MOST_BYTES: usize = 1 << 24;
/// Two tables of 64 values of two bytes.
const MOST_TABLE_BYTES: usize = 256;
/// The identifier of the extension in the first packet of a picture, and in others.
const FIRST: u16 = 0xffd8;
const FURTHER: u16 = 0xffff;
/// The identifier of ONVIF's replay extension, which may precede it with three words of its own.
const REPLAY: u16 = 0xabac;
const REPLAY_BYTES: usize = 12;

/// The message for a camera that sends no extension.
pub(super) const NO_SIZE: &str = "it is MJPEG above 2040 pixels, a size that RFC 2435 can't state, and the camera does not send the ONVIF header \
     extension, which could; set the camera to H.264, H.265 or a smaller size";
/// The message for a client that does not read the extension.
pub(super) const NOT_READ: &str = "it is MJPEG above 2040 pixels, a size that RFC 2435 can't state, and FFmpeg's RTSP client does not read the \
     ONVIF header extension, which could; set `rtsp_client` to \"auto\", or the camera to H.264, H.265 or a smaller size";

/// The parts of an RTP packet that matter for pictures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) extension: Option<Extension<'a>>,
    pub(super) payload: &'a [u8],
    pub(super) marker: bool,
    pub(super) ticks: i64,
    pub(super) received: Instant,
    /// Packets before it are missing.
    pub(super) lost: bool,
}

/// ONVIF's extension of a packet: segments of a picture's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    first: bool,
    segments: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Reads the extension of an RTP packet.
    pub(super) fn of(packet: &'a [u8]) -> Option<Self> {
        let first = *packet.first()?;
        if first & 0x10 == 0 {
            return None;
        }
        let extension = packet.get(12 + 4 * usize::from(first & 0x0f)..)?;
        let (id, body) = split(extension)?;
        let (id, segments) = match id {
            REPLAY => split(body.get(REPLAY_BYTES..)?)?,
            _ => (id, body),
        };
        matches!(id, FIRST | FURTHER).then_some(Self { first: id == FIRST, segments })
    }
}

/// Splits an extension into its identifier and its content.
fn split(extension: &[u8]) -> Option<(u16, &[u8])> {
    let (id, rest) = extension.split_first_chunk::<2>()?;
    let (words, rest) = rest.split_first_chunk::<2>()?;
    let body = rest.get(..4 * usize::from(u16::from_be_bytes(*words)))?;
    Some((u16::from_be_bytes(*id), body))
}

/// A picture in the format of a JPEG file.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) data: Vec<u8>,
    pub(super) size: (u32, u32),
    pub(super) ticks: i64,
    /// The arrival of its first packet.
    pub(super) received: Instant,
    /// Parts of it, or pictures before it, are missing.
    pub(super) lost: bool,
}

/// Why a packet can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// The size of the pictures is not stated.
    NoSize,
    /// The packet is invalid.
    Invalid(String),
}

fn invalid<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(what.into()))
}

/// RFC 2435's header of a packet, and what follows it.
#[derive(Clone, Copy, Debug)]
struct Main<'a> {
    offset: usize,
    kind: u8,
    quality: u8,
    /// In units of 8 pixels.
    size: (u8, u8),
    restart_interval: Option<u16>,
    /// Precision and quantization tables; the tables are empty if earlier ones still apply.
    tables: Option<(u8, &'a [u8])>,
    scan: &'a [u8],
}

impl<'a> Main<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Error> {
        let Some((main, mut rest)) = payload.split_first_chunk::<8>() else {
            return invalid(format!("a JPEG packet of {} bytes", payload.len()));
        };
        let [_, offset @ .., kind, quality, width, height] = *main;
        let offset = offset.iter().fold(0, |offset, byte| offset << 8 | usize::from(*byte));
        let mut restart_interval = None;
        if kind & 0x40 != 0 {
            let Some((restart, behind)) = rest.split_first_chunk::<4>() else {
                return invalid("a JPEG packet that ends in its restart header");
            };
            restart_interval = Some(u16::from_be_bytes([restart[0], restart[1]]));
            rest = behind;
        }
        let mut tables = None;
        if offset == 0 && quality >= 128 {
            let cut = || Error::Invalid("a JPEG packet that ends in its tables".into());
            let (head, behind) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let (content, behind) = behind.split_at_checked(length).ok_or_else(cut)?;
            tables = Some((head[1], content));
            rest = behind;
        }
        let (kind, size) = (kind & 0x3f, (width, height));
        Ok(Self { offset, kind, quality, size, restart_interval, tables, scan: rest })
    }
}

/// A picture that is being received.
#[derive(Debug)]
struct Open {
    picture: Picture,
    /// Headers from the extension of its first packets, until scan data arrives.
    segments: Vec<u8>,
    /// The headers are written.
    begun: bool,
}

/// Whether a picture's own headers state its size.
pub(super) fn has_size(file: &[u8]) -> bool {
    let mut headers = Headers::default();
    headers.take(file);
    headers.size().is_some()
}

/// Assembles pictures from packets.
#[derive(Debug)]
pub(super) struct Depacketizer {
    open: Option<Open>,
    ready: VecDeque<Picture>,
    /// The headers of the previous picture, which the next may inherit.
    headers: Headers,
    /// Tables by Q from 128 to 254; packets need not repeat them.
    tables: Vec<(u8, u8, Vec<u8>)>,
    /// Something was lost since the last picture.
    lost: bool,
    /// The timestamp of the last complete picture.
    last: Option<i64>,
}

impl Depacketizer {
    pub(super) fn new() -> Self {
        Self {
            open: None,
            ready: VecDeque::new(),
            headers: Headers::standard(),
            tables: Vec::new(),
            lost: false,
            last: None,
        }
    }

    pub(super) fn pull(&mut self) -> Option<Picture> {
        self.ready.pop_front()
    }

    /// Takes the next packet. Pictures that it completes can be pulled afterwards, even after an error.
    pub(super) fn push(&mut self, part: &Part<'_>) -> Result<(), Error> {
        let main = match part.payload {
            [] if part.extension.is_some() => None,
            payload => Some(Main::read(payload).inspect_err(|_| self.spoil())?),
        };
        let ticks = part.ticks;
        let at_start = main.is_some_and(|main| main.offset == 0);
        let continues = self.open.as_ref().is_some_and(|open| open.picture.ticks == ticks);
        let continues = continues
            && !part.extension.is_some_and(|extension| extension.first)
            && !(at_start && self.open.as_ref().is_some_and(|open| open.begun));
        if !continues {
            self.lost |= part.lost;
            // Without a marker, a picture ends where the next one begins.
            self.close(part.lost);
            let begins = part.extension.map_or(at_start, |extension| extension.first);
            let Some(main) = main.filter(|_| begins) else {
                // The session began within a picture, or the start of this one is lost.
                self.lost |= self.last.is_some();
                return match self.last == Some(ticks) && !part.lost {
                    true => invalid("a JPEG picture that continues after its marker"),
                    false => Ok(()),
                };
            };
            self.begin(part, &main).inspect_err(|_| self.lost = true)?;
        } else if part.lost {
            self.spoil();
        }
        let done = self.extend(part, main.as_ref());
        if done.is_err() {
            (self.open, self.lost) = (None, true);
        } else if part.marker {
            self.close(false);
        }
        done
    }

    /// Records a loss in the open picture, or before the next one.
    fn spoil(&mut self) {
        match &mut self.open {
            Some(open) => open.picture.lost = true,
            None => self.lost = true,
        }
    }

    /// Completes the open picture, if any.
    fn close(&mut self, torn: bool) {
        let Some(Open { mut picture, begun, .. }) = self.open.take() else { return };
        self.last = Some(picture.ticks);
        if !begun {
            self.lost = true;
            return;
        }
        if torn {
            // Its end is missing.
            (picture.lost, self.lost) = (true, false);
        }
        if !picture.data.ends_with(&[0xff, 0xd9]) {
            picture.data.extend([0xff, 0xd9]);
        }
        self.ready.push_back(picture);
    }

    fn begin(&mut self, part: &Part<'_>, main: &Main<'_>) -> Result<(), Error> {
        let extended = part.extension.is_some();
        self.prepare(main, extended)?;
        let lost = std::mem::take(&mut self.lost);
        let picture = Picture {
            data: Vec::new(),
            size: (0, 0),
            ticks: part.ticks,
            received: part.received,
            lost,
        };
        self.open = Some(Open { picture, segments: Vec::new(), begun: false });
        Ok(())
    }

    /// Sets the headers from the first packet of a picture, as RFC 2435 specifies.
    fn prepare(&mut self, main: &Main<'_>, extended: bool) -> Result<(), Error> {
        if extended {
            self.headers.begin();
        } else {
            self.headers = Headers::standard();
        }
        match (main.quality, main.tables) {
            // The tables of the previous picture apply.
            (0, _) if extended => {}
            (quality @ 1..=99, _) => self.headers.set_quality(quality),
            (quality, Some((_, []))) => {
                let kept = self.tables.iter().find(|(known, ..)| *known == quality);
                match kept {
                    Some((_, precision, tables)) => {
                        self.headers.set_tables(*precision, tables);
                    }
                    None if extended => {}
                    None => {
                        return invalid(format!("a JPEG picture without its tables (Q {quality})"));
                    }
                }
            }
            (quality, Some((precision, tables))) => {
                if !self.headers.set_tables(precision, tables) {
                    return invalid(format!("JPEG tables of {} bytes", tables.len()));
                }
                if quality < 255 {
                    self.tables.retain(|(known, ..)| *known != quality);
                    let tables = &tables[..tables.len().min(MOST_TABLE_BYTES)];
                    self.tables.push((quality, precision, tables.to_vec()));
                }
            }
            (quality, None) => {
                return invalid(format!("a JPEG picture of the reserved Q {quality}"));
            }
        }
        let (width, height) = main.size;
        let size = (u16::from(width) * 8, u16::from(height) * 8);
        match main.kind {
            // The size of the previous picture or of the extension applies.
            _ if width == 0 || height == 0 => {}
            kind @ 0..=1 => self.headers.set_frame(kind, size),
            _ if extended => {}
            kind => return invalid(format!("a JPEG picture of the type {kind}")),
        }
        self.headers.set_restart_interval(main.restart_interval);
        Ok(())
    }

    /// Appends a packet to the open picture.
    fn extend(&mut self, part: &Part<'_>, main: Option<&Main<'_>>) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let segments = part.extension.map_or(&[][..], |extension| extension.segments);
        let scan = main.map_or(&[][..], |main| main.scan);
        if open.begun {
            open.picture.data.extend(segments);
        } else {
            open.segments.extend(segments);
            if !scan.is_empty() || part.marker {
                let behind = self.headers.take(&open.segments);
                if !self.headers.has_tables() {
                    return invalid("a JPEG picture without its tables");
                }
                let Some(size) = self.headers.size() else { return Err(Error::NoSize) };
                open.picture.size = size;
                self.headers.write(&mut open.picture.data);
                open.picture.data.extend(behind);
                open.begun = true;
            }
        }
        open.picture.data.extend(scan);
        if open.picture.data.len() + open.segments.len() > MOST_BYTES {
            return invalid(format!("a JPEG picture of more than {MOST_BYTES} bytes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
