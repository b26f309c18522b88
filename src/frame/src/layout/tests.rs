use super::*;

#[test]
fn the_hash_follows_the_document() {
    // The offset basis is FNV-1a's published test vector for the empty input; here one line is
    // hashed by hand.
    let one = &[Field { part: "p", name: "n", offset: 10, size: 4, meaning: "" }];
    let mut expected = 0xcbf2_9ce4_8422_2325_u64;
    for byte in b"frame.meta 2\np n 10 4\n" {
        expected = (expected ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    assert_eq!(layout_hash(2, &[one]), expected);
}

#[test]
fn sizes() {
    assert_eq!((size_of::<Header>(), size_of::<Entry>()), (512, 128));
    assert_eq!(meta_bytes(1), 4096);
    assert_eq!(meta_bytes(28), 4096);
    assert_eq!(meta_bytes(29), 8192);
}

/// Each table row of the document is one field, in order, and the hash is the current one: a layout
/// change without a change of the document fails here.
#[test]
fn the_document_states_this_layout() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ref/frame-format.md");
    let page = std::fs::read_to_string(path).expect("docs/ref/frame-format.md exists");
    assert_table(&page, "## Header", HEADER);
    assert_table(&page, "## Slot entries", ENTRY);
    assert!(page.contains(&format!("{LAYOUT_HASH:#018x}")), "the hash is {LAYOUT_HASH:#018x}");
}

/// Compares the rows of the table below a heading with the fields.
pub(crate) fn assert_table(page: &str, heading: &str, table: &[Field]) {
    let section = page.split_once(heading).unwrap_or_else(|| panic!("`{heading}`")).1;
    let section = section.split("\n## ").next().unwrap_or(section);
    let is_row =
        |line: &&str| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit());
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(is_row)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), table.len(), "{heading}");
    for (row, field) in rows.iter().zip(table) {
        let name = format!("`{}`", field.name);
        let expected = [field.offset.to_string(), field.size.to_string(), name];
        assert_eq!([row[0], row[1], row[3]], expected, "{heading}");
    }
}
