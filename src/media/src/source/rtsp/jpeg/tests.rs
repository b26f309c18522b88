//! Tests with FFmpeg's packets, and with packets by the rules of RFC 2435 and ONVIF.

use super::*;

const TWO: (&[u8], &[u8]) =
    (include_bytes!("testdata/two.rtp"), include_bytes!("testdata/two.mjpeg"));
const RESTART: (&[u8], &[u8]) =
    (include_bytes!("testdata/restart.rtp"), include_bytes!("testdata/restart.mjpeg"));

/// A packet of a test.
#[derive(Clone)]
struct Sent {
    extension: Option<(bool, Vec<u8>)>,
    payload: Vec<u8>,
    marker: bool,
    ticks: i64,
    lost: bool,
}

impl Sent {
    fn plain(payload: Vec<u8>, marker: bool, ticks: i64) -> Self {
        Self { extension: None, payload, marker, ticks, lost: false }
    }

    fn extended(first: bool, segments: Vec<u8>, payload: Vec<u8>) -> Self {
        Self { extension: Some((first, segments)), ..Self::plain(payload, false, 0) }
    }
}

fn packets(mut capture: &[u8]) -> Vec<Sent> {
    let mut found = Vec::new();
    while let Some((length, rest)) = capture.split_first_chunk::<2>() {
        let (packet, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        let ticks = u32::from_be_bytes(*packet[4..].first_chunk().unwrap());
        assert_eq!((packet[0], Extension::of(packet)), (0x80, None));
        found.push(Sent::plain(packet[12..].to_vec(), packet[1] & 0x80 != 0, ticks.into()));
        capture = rest;
    }
    found
}

fn push(depacketizer: &mut Depacketizer, sent: &Sent) -> Result<(), Error> {
    let extension = sent.extension.as_ref();
    depacketizer.push(&Part {
        extension: extension.map(|(first, segments)| Extension { first: *first, segments }),
        payload: &sent.payload,
        marker: sent.marker,
        ticks: sent.ticks,
        received: Instant::now(),
        lost: sent.lost,
    })
}

fn pictures(depacketizer: &mut Depacketizer, sent: &[Sent]) -> Vec<Picture> {
    let mut out = Vec::new();
    for sent in sent {
        push(depacketizer, sent).unwrap();
        out.extend(std::iter::from_fn(|| depacketizer.pull()));
    }
    out
}

/// The headers of a file, and its scan data.
fn parts(file: &[u8]) -> (Headers, &[u8]) {
    let mut headers = Headers::default();
    let scan = headers.take(file);
    headers.forget_others();
    (headers, scan)
}

fn files(clip: &[u8]) -> Vec<&[u8]> {
    let begin: Vec<usize> =
        (0..clip.len()).filter(|&at| clip[at..].starts_with(&[0xff, 0xd8, 0xff])).collect();
    let ends = begin.iter().skip(1).copied().chain([clip.len()]);
    begin.iter().zip(ends).map(|(&begin, end)| &clip[begin..end]).collect()
}

fn restart_interval(file: &[u8]) -> Option<[u8; 2]> {
    let at = file.windows(4).position(|bytes| bytes == [0xff, 0xdd, 0, 4])?;
    file[at + 4..].first_chunk().copied()
}

#[test]
fn ffmpegs_packets_give_the_original_pictures() {
    for ((capture, clip), size) in [(TWO, (64, 48)), (RESTART, (128, 96))] {
        let mut sent = packets(capture);
        let files = files(clip);
        if let Some(interval) = restart_interval(files[0]) {
            // FFmpeg 5.1 omits the restart header (RFC 2435, 3.1.7).
            for sent in &mut sent {
                sent.payload[4] |= 0x40;
                sent.payload.splice(8..8, [interval[0], interval[1], 0xff, 0xff]);
            }
        }
        let out = pictures(&mut Depacketizer::new(), &sent);
        assert_eq!(out.len(), files.len());
        for (picture, file) in out.iter().zip(files) {
            assert_eq!((picture.size, picture.lost), (size, false));
            assert_eq!(parts(&picture.data), parts(file));
            assert!(picture.data.starts_with(b"\xff\xd8\xff\xe0\0\x10JFIF\0"));
        }
    }
}

#[test]
fn a_picture_without_a_marker_ends_where_the_next_begins() {
    let mut sent = packets(TWO.0);
    sent.iter_mut().for_each(|sent| sent.marker = false);
    let out = pictures(&mut Depacketizer::new(), &sent);
    assert_eq!(out.len(), 1, "the second has not ended");
    assert_eq!(parts(&out[0].data), parts(files(TWO.1)[0]));
}

/// Three pictures in three packets each.
fn nine() -> Vec<Sent> {
    let mut sent = Vec::new();
    for picture in 0..3 {
        for (at, byte) in (0u8..3).zip(1u8..) {
            let payload = vec![0, 0, 0, at, 1, 50, 8, 6, byte];
            sent.push(Sent::plain(payload, at == 2, picture));
        }
    }
    sent
}

#[test]
fn pictures_with_missing_packets_are_marked() {
    // (lost packets, (ticks, lost, scan data) of each picture)
    type Out<'a> = &'a [(i64, bool, &'a [u8])];
    let whole: &[u8] = &[1, 2, 3, 0xff, 0xd9];
    let cases: [(&[usize], Out<'_>); 6] = [
        (&[], &[(0, false, whole), (1, false, whole), (2, false, whole)]),
        (&[4], &[(0, false, whole), (1, true, &[1, 3, 0xff, 0xd9]), (2, false, whole)]),
        (&[5], &[(0, false, whole), (1, true, &[1, 2, 0xff, 0xd9]), (2, false, whole)]),
        (&[3], &[(0, false, whole), (2, true, whole)]),
        (&[3, 4, 5], &[(0, false, whole), (2, true, whole)]),
        (&[0, 1], &[(1, false, whole), (2, false, whole)]),
    ];
    for (missing, expected) in cases {
        let mut sent = nine();
        for (at, one) in sent.iter_mut().enumerate() {
            one.lost = at > 0 && missing.contains(&(at - 1));
        }
        // A loss before the first packet can't be detected.
        sent[missing.first().map_or(0, |at| if *at == 0 { 2 } else { 0 })].lost = false;
        let mut sent: Vec<_> = sent.into_iter().map(Some).collect();
        missing.iter().for_each(|at| sent[*at] = None);
        let sent: Vec<_> = sent.into_iter().flatten().collect();
        let out = pictures(&mut Depacketizer::new(), &sent);
        let seen: Vec<_> = out
            .iter()
            .map(|picture| (picture.ticks, picture.lost, parts(&picture.data).1))
            .collect();
        assert_eq!(seen, expected, "without {missing:?}");
    }
}

#[test]
fn a_marker_before_the_end_is_an_error() {
    let mut sent = nine();
    sent[1].marker = true;
    let mut depacketizer = Depacketizer::new();
    assert_eq!(
        sent[..2].iter().map(|sent| push(&mut depacketizer, sent)).filter(Result::is_err).count(),
        0
    );
    let message = "a JPEG picture that continues after its marker".to_owned();
    assert_eq!(push(&mut depacketizer, &sent[2]), Err(Error::Invalid(message)));
}

/// The headers of a picture of 2560x1440, as in an extension.
fn large() -> Vec<u8> {
    let mut headers = Headers::standard();
    headers.set_quality(70);
    headers.set_frame(1, (2560, 1440));
    let mut bytes = Vec::new();
    headers.write(&mut bytes);
    // Without SOI, padded to words before the scan header, which is the last one.
    let scan = bytes.len() - 14;
    while bytes.len() % 4 != 2 {
        bytes.insert(scan, 0xff);
    }
    bytes.split_off(2)
}

/// RFC 2435's header without a size.
fn sizeless(offset: u8, quality: u8, scan: &[u8]) -> Vec<u8> {
    let tables: &[u8] = if quality >= 128 && offset == 0 { &[0, 0, 0, 0] } else { &[] };
    [&[0, 0, 0, offset, 1, quality, 0, 0], tables, scan].concat()
}

#[test]
fn the_extension_states_sizes_above_2040() {
    let mut end = Sent::plain(sizeless(2, 255, &[3, 4]), true, 0);
    let mut expected = Headers::standard();
    expected.set_quality(70);
    expected.set_frame(1, (2560, 1440));
    let mut written = Vec::new();
    expected.write(&mut written);
    let expected = parts(&written).0;

    // All in the first packet.
    let first = Sent::extended(true, large(), sizeless(0, 255, &[1, 2]));
    let mut depacketizer = Depacketizer::new();
    let out = pictures(&mut depacketizer, &[first.clone(), end.clone()]);
    assert_eq!((out.len(), out[0].size), (1, (2560, 1440)));
    assert_eq!(parts(&out[0].data), (expected.clone(), &[1, 2, 3, 4, 0xff, 0xd9][..]));

    // Headers in two packets before the scan data; the second has no RFC 2435 header.
    let mut one = large();
    let two = one.split_off(100);
    let split = [
        Sent::extended(true, one, sizeless(0, 255, &[])),
        Sent::extended(false, two, Vec::new()),
        Sent::plain(sizeless(0, 255, &[1, 2]), false, 0),
        end.clone(),
    ];
    let out = pictures(&mut Depacketizer::new(), &split);
    assert_eq!((out.len(), out[0].size), (1, (2560, 1440)));
    assert_eq!(parts(&out[0].data), (expected.clone(), &[1, 2, 3, 4, 0xff, 0xd9][..]));

    // Padding after the scan header.
    let padded = [&large()[..], &[0xff; 3]].concat();
    let first = Sent::extended(true, padded, sizeless(0, 255, &[1, 2]));
    let out = pictures(&mut Depacketizer::new(), &[first, end.clone()]);
    assert_eq!(parts(&out[0].data), (expected.clone(), &[1, 2, 3, 4, 0xff, 0xd9][..]));

    // The next picture inherits tables and size (Q 0, an empty extension).
    end.ticks = 1;
    let mut next = Sent::extended(true, Vec::new(), sizeless(0, 0, &[1, 2]));
    next.ticks = 1;
    let out = pictures(&mut depacketizer, &[next, end]);
    assert_eq!((out.len(), out[0].size), (1, (2560, 1440)));
    assert_eq!(parts(&out[0].data).0, expected);
}

#[test]
fn the_extension_takes_precedence() {
    let mut depacketizer = Depacketizer::new();
    // A restart interval of 9 in the packet, of 5 in the extension; a size of 64x48 in the packet.
    let dri = vec![0xff, 0xff, 0xff, 0xdd, 0, 4, 0, 5];
    let payload = vec![0, 0, 0, 0, 0x41, 50, 8, 6, 0, 9, 0xff, 0xff, 1];
    let mut sent = Sent::extended(true, dri, payload);
    sent.marker = true;
    let out = pictures(&mut depacketizer, &[sent.clone()]);
    assert_eq!(out[0].size, (64, 48));
    assert!(out[0].data.windows(6).any(|bytes| bytes == [0xff, 0xdd, 0, 4, 0, 5]));
    // Without it RFC 2435's interval applies; earlier intervals do not.
    (sent.extension, sent.ticks) = (Some((true, Vec::new())), 1);
    let out = pictures(&mut depacketizer, &[sent]);
    assert!(out[0].data.windows(6).any(|bytes| bytes == [0xff, 0xdd, 0, 4, 0, 9]));
}

#[test]
fn invalid_packets_give_no_picture() {
    let alone = |payload| Sent::plain(payload, true, 0);
    let mut depacketizer = Depacketizer::new();
    assert_eq!(push(&mut depacketizer, &alone(sizeless(0, 50, &[1]))), Err(Error::NoSize));
    let mut empty = Sent::extended(true, Vec::new(), sizeless(0, 50, &[1]));
    empty.marker = true;
    assert_eq!(push(&mut depacketizer, &empty), Err(Error::NoSize));
    for payload in [
        vec![0; 7],
        vec![0, 0, 0, 0, 1, 0, 8, 6, 1],
        vec![0, 0, 0, 0, 1, 100, 8, 6, 1],
        vec![0, 0, 0, 0, 2, 50, 8, 6, 1],
        vec![0, 0, 0, 0, 0x41, 50, 8, 6, 1],
        vec![0, 0, 0, 0, 1, 255, 8, 6, 0, 0, 0, 0, 1],
        vec![0, 0, 0, 0, 1, 255, 8, 6, 0, 0, 0, 9, 1],
        [&[0, 0, 0, 0, 1, 255, 8, 6, 0, 0, 0, 65][..], &[1; 65]].concat(),
    ] {
        let refused = push(&mut depacketizer, &alone(payload.clone()));
        assert!(matches!(refused, Err(Error::Invalid(_))), "{payload:?}: {refused:?}");
    }
    assert!(depacketizer.pull().is_none());
}

#[test]
fn tables_are_kept_for_a_q_below_255() {
    let with = [&[0, 0, 0, 0, 1, 200, 8, 6, 0, 2, 0, 192][..], &[7; 192], &[1]].concat();
    let without = vec![0, 0, 0, 0, 1, 200, 8, 6, 0, 0, 0, 0, 1];
    let sent = [Sent::plain(with, true, 0), Sent::plain(without, true, 1)];
    let out = pictures(&mut Depacketizer::new(), &sent);
    assert_eq!(out.len(), 2);
    assert_eq!(out[0].data, out[1].data);
    // The second table has two bytes per value.
    assert!(out[0].data.windows(5).any(|bytes| bytes == [0xff, 0xdb, 0, 131, 0x11]));
}

#[test]
fn extensions_are_identified() {
    let packet = |id: u16, words: u16, body: &[u8]| {
        [&[0x91, 26][..], &[0; 10], &[9; 4], &id.to_be_bytes(), &words.to_be_bytes(), body].concat()
    };
    let is = |first| Some(Extension { first, segments: &[1, 2, 3, 4] });
    assert_eq!(Extension::of(&packet(0xffd8, 1, &[1, 2, 3, 4, 5])), is(true));
    assert_eq!(Extension::of(&packet(0xffff, 1, &[1, 2, 3, 4])), is(false));
    assert_eq!(Extension::of(&packet(0xbede, 1, &[1, 2, 3, 4])), None);
    assert_eq!(Extension::of(&packet(0xffd8, 2, &[1, 2, 3, 4])), None);
    assert_eq!(Extension::of(&[0x90; 12]), None);
    let replay = [&[0; 12][..], &[0xff, 0xd8, 0, 1, 1, 2, 3, 4]].concat();
    assert_eq!(Extension::of(&packet(0xabac, 5, &replay)), is(true));
    assert_eq!(Extension::of(&packet(0xabac, 3, &[0; 12])), None);
}

proptest::proptest! {
    #[test]
    fn any_packets_are_read_without_a_panic(
        sent in proptest::collection::vec(
            (
                proptest::option::of((proptest::bool::ANY, proptest::collection::vec(0u8.., 0..40))),
                proptest::collection::vec(proptest::prop_oneof![proptest::strategy::Just(0), 0u8..], 0..40),
                proptest::bool::ANY, 0i64..3, proptest::bool::ANY,
            ),
            0..12,
        ),
    ) {
        let mut depacketizer = Depacketizer::new();
        for (extension, payload, marker, ticks, lost) in sent {
            let extension = extension.map(|(first, rest)| (first, [&[0xff, 0xdb][..], &rest].concat()));
            let _ = push(&mut depacketizer, &Sent { extension, payload, marker, ticks, lost });
            while depacketizer.pull().is_some() {}
        }
    }
}
