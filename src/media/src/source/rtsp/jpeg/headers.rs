//! The headers of a JPEG picture (ITU-T T.81, annex B): stored as segments, written together. Pure.

/// The Huffman tables that RFC 2435 implies (T.81, annex K.3): identifier, number of codes of each length, symbols.
const HUFFMAN: [(u8, [u8; 16], &[u8]); 4] = [
    (0x00, [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &DC),
    (0x10, [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d], &LUMA_AC),
    (0x01, [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &DC),
    (0x11, [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77], &CHROMA_AC),
];

const DC: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

#[rustfmt::skip]
const LUMA_AC: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[rustfmt::skip]
const CHROMA_AC: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
    0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

/// Quantization tables of luma and chroma at quality 50 (T.81, annex K.1), in zigzag order as in DQT segments and RFC
/// 2435.
#[rustfmt::skip]
const QUANTIZATION: [[u8; 64]; 2] = [
    [
        16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58,
        51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103,
        62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
    ],
    [
        17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

const SOF0: u8 = 0xc0;
const DHT: u8 = 0xc4;
const SOI: u8 = 0xd8;
const SOS: u8 = 0xda;
const DQT: u8 = 0xdb;
const DRI: u8 = 0xdd;
const APP0: u8 = 0xe0;

/// A table, after the byte with its identifier.
type Table = Option<Vec<u8>>;

/// The headers before a picture's scan data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    quantization: [Table; 4],
    /// DC tables, then AC tables.
    huffman: [Table; 8],
    /// The frame header (SOFn): its marker and what follows the length.
    frame: Option<(u8, Vec<u8>)>,
    restart_interval: Option<u16>,
    scan: Option<Vec<u8>>,
    /// Other segments, complete.
    others: Vec<u8>,
}

impl Headers {
    /// The headers that RFC 2435 implies: JFIF and the Huffman tables.
    pub(super) fn standard() -> Self {
        let mut headers = Self::default();
        for (name, counts, symbols) in HUFFMAN {
            headers.huffman[huffman_index(name)] = Some([&[name], &counts[..], symbols].concat());
        }
        segment(&mut headers.others, APP0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
        headers
    }

    /// Clears the headers that a picture does not inherit from the previous one.
    pub(super) fn begin(&mut self) {
        (self.restart_interval, self.scan) = (None, None);
        self.others.clear();
    }

    /// Sets the tables for a quality from 1 to 99 (RFC 2435, 4.2).
    pub(super) fn set_quality(&mut self, quality: u8) {
        let quality = u32::from(quality.clamp(1, 99));
        let scale = if quality < 50 { 5000 / quality } else { 200 - quality * 2 };
        for (name, base) in (0u8..).zip(&QUANTIZATION) {
            let scaled = base.map(|step| {
                let step = (u32::from(step) * scale + 50) / 100;
                u8::try_from(step.clamp(1, 255)).unwrap_or(u8::MAX)
            });
            self.quantization[usize::from(name)] = Some([&[name], &scaled[..]].concat());
        }
    }

    /// Sets the tables from a packet (RFC 2435, 3.1.8); returns false if they are truncated.
    pub(super) fn set_tables(&mut self, precision: u8, mut tables: &[u8]) -> bool {
        for name in 0..2u8 {
            let wide = precision >> name & 1;
            let Some((table, rest)) = tables.split_at_checked(64 << wide) else {
                // A single table may serve both.
                return name == 1 && tables.is_empty();
            };
            self.quantization[usize::from(name)] = Some([&[wide << 4 | name], table].concat());
            tables = rest;
        }
        true
    }

    /// Clears the segments that do not affect the picture.
    #[cfg(test)]
    pub(super) fn forget_others(&mut self) {
        self.others.clear();
    }

    /// Whether there is a quantization table.
    pub(super) fn has_tables(&self) -> bool {
        self.quantization.iter().any(Option::is_some)
    }

    /// Sets the frame header of a picture of RFC 2435's type 0 (4:2:2) or 1 (4:2:0).
    pub(super) fn set_frame(&mut self, kind: u8, (width, height): (u16, u16)) {
        let sampling = if kind == 0 { 0x21 } else { 0x22 };
        let chroma = u8::from(self.quantization[1].is_some());
        let ([height_0, height_1], [width_0, width_1]) =
            (height.to_be_bytes(), width.to_be_bytes());
        let frame = [
            8, height_0, height_1, width_0, width_1, 3, //
            1, sampling, 0, 2, 0x11, chroma, 3, 0x11, chroma,
        ];
        self.frame = Some((SOF0, frame.to_vec()));
    }

    /// Width and height in pixels; `None` without a frame header, or if the header does not state the height.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        let [_, height_0, height_1, width_0, width_1, ..] = *self.frame.as_ref()?.1 else {
            return None;
        };
        let size =
            (u16::from_be_bytes([width_0, width_1]), u16::from_be_bytes([height_0, height_1]));
        (size.0 > 0 && size.1 > 0).then_some((size.0.into(), size.1.into()))
    }

    /// Sets the restart interval; `None` or 0 means no restart markers.
    pub(super) fn set_restart_interval(&mut self, interval: Option<u16>) {
        self.restart_interval = interval;
    }

    /// Reads segments as in a file, and returns what follows a scan header. Stops at invalid data, since segments may be
    /// followed by padding.
    pub(super) fn take<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while let Some(rest) = bytes.strip_prefix(&[0xff]) {
            match rest {
                [0xff, ..] | [SOI, ..] => {
                    bytes = if rest[0] == SOI { &rest[1..] } else { rest };
                    continue;
                }
                [] => break,
                _ => {}
            }
            let [marker, high, low, ..] = *rest else { break };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let Some(body) = rest.get(3..=length).filter(|_| length >= 2) else { break };
            bytes = &rest[1 + length..];
            match marker {
                DQT => self.take_quantization(body),
                DHT => self.take_huffman(body),
                DRI => {
                    self.restart_interval =
                        body.first_chunk().map(|value| u16::from_be_bytes(*value));
                }
                SOS => {
                    self.scan = Some(body.to_vec());
                    // ONVIF allows padding only before a scan header, but some cameras add it after. Scan data never
                    // has two bytes of 0xff in a row.
                    let is_padding =
                        bytes.len() < 4 && bytes.iter().all(|byte| matches!(byte, 0 | 0xff));
                    return if is_padding { &[] } else { bytes };
                }
                // 0xc8 and 0xcc are not frame headers.
                0xc0..=0xcf if marker & 3 != 0 || marker == SOF0 => {
                    self.frame = Some((marker, body.to_vec()));
                }
                _ => segment(&mut self.others, marker, body),
            }
        }
        &[]
    }

    fn take_quantization(&mut self, mut body: &[u8]) {
        while let Some(&name) = body.first() {
            let Some((table, rest)) = body.split_at_checked(1 + (64 << (name >> 4 & 1))) else {
                break;
            };
            self.quantization[usize::from(name & 3)] = Some(table.to_vec());
            body = rest;
        }
    }

    fn take_huffman(&mut self, mut body: &[u8]) {
        while let Some((&name, behind)) = body.split_first() {
            let Some(counts) = behind.first_chunk::<16>() else { break };
            let symbols: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let Some((table, rest)) = body.split_at_checked(17 + symbols) else { break };
            self.huffman[huffman_index(name)] = Some(table.to_vec());
            body = rest;
        }
    }

    /// Writes all headers that precede the scan data.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend([0xff, SOI]);
        out.extend(&self.others);
        self.quantization.iter().flatten().for_each(|table| segment(out, DQT, table));
        if let Some((marker, frame)) = &self.frame {
            segment(out, *marker, frame);
        }
        self.huffman.iter().flatten().for_each(|table| segment(out, DHT, table));
        if let Some(interval) = self.restart_interval.filter(|interval| *interval > 0) {
            segment(out, DRI, &interval.to_be_bytes());
        }
        segment(out, SOS, self.scan.as_deref().unwrap_or(&[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]));
    }
}

fn huffman_index(name: u8) -> usize {
    usize::from(name >> 4 & 1) * 4 + usize::from(name & 3)
}

fn segment(out: &mut Vec<u8>, marker: u8, body: &[u8]) {
    let length = u16::try_from(body.len() + 2).unwrap_or(u16::MAX);
    out.extend([0xff, marker]);
    out.extend(length.to_be_bytes());
    out.extend(body);
}
