//! The examples of docs/ref/scaling.md are what the code computes.

use crate::{COLUMN_BITS, ChromaSite, Offset, ROW_BITS, Spans};

const PAGE: &str = include_str!("../../../../docs/ref/scaling.md");

/// The cells of the table whose first title is `title`.
fn table(title: &str) -> Vec<Vec<&'static str>> {
    let cells = |line: &'static str| -> Vec<&str> {
        line.trim_matches('|').split('|').map(str::trim).collect()
    };
    let rows = PAGE.lines().skip_while(|line| !line.starts_with(&format!("| {title} |")));
    let rows: Vec<_> = rows.skip(2).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(rows.len() > 1, "a table that begins with {title}");
    rows
}

#[test]
fn weights() {
    for row in table("plane") {
        let number = |at: usize| -> u32 { row[at].parse().unwrap() };
        let (source, content) = (number(1), number(2));
        let half = |side: u32| if row[0] == "chroma" { side.div_ceil(2) } else { side };
        let (samples, outputs) = (half(source), half(content));
        let spans = Spans { source, content, samples, outputs, shift: row[3].parse().unwrap() };
        let bits = number(4).ilog2();
        assert!(bits == ROW_BITS || bits == COLUMN_BITS);
        let window = spans.window(number(5), bits);
        let weights: Vec<u16> = row[7].split(' ').map(|weight| weight.parse().unwrap()).collect();
        assert_eq!((window.first, window.weights), (number(6), weights), "{row:?}");
    }
}

#[test]
fn siting() {
    for row in table("`chroma_location`") {
        let code = row[0].split(' ').next().unwrap().parse().unwrap();
        let site = ChromaSite::of_chroma_location(code);
        let factors = [site.across, site.down].map(|offset: Offset| offset.factor().to_string());
        assert_eq!(factors, [row[1], row[2]], "{code}");
    }
    assert_eq!(ChromaSite::of_chroma_location(7), ChromaSite::default());
}
