//! Checks that docs/ref/status.md documents exactly what the files hold.

use std::collections::BTreeSet;

use serde_json::Value;
use strum::VariantArray as _;
use vas_harness::assert_golden;

use super::drops::{DropReason, NotProduced};
use super::process::ProcessId;
use super::prometheus;
use super::sample::full_status;
use super::state::InputState;

const DOCUMENT: &str = include_str!("../../../docs/ref/status.md");

/// The rows of the table under a heading, as cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = DOCUMENT.split(&format!("{heading}\n")).nth(1).expect("the heading is there");
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let table = lines.take_while(|line| line.starts_with('|')).skip(2);
    table.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The texts in backticks.
fn codes(cell: &str) -> impl Iterator<Item = String> + '_ {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// Paths of all values that are neither table nor list.
fn leaves(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if path.ends_with(".dropped") => {
            assert!(!map.is_empty());
            found.insert(format!("{path}.REASON"));
        }
        Value::Object(map) => {
            for (key, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(&format!("{path}{dot}{key}"), value, found);
            }
        }
        Value::Array(list) => {
            assert!(!list.is_empty(), "{path} shows nothing of its form");
            list.iter().for_each(|value| leaves(&format!("{path}[]"), value, found));
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn every_key_is_documented_and_every_documented_key_is_there() {
    let status = serde_json::to_value(full_status()).unwrap();
    let mut there = BTreeSet::new();
    leaves("", &status, &mut there);
    let rows = rows("## status.json");
    let documented: Vec<_> = rows.iter().flat_map(|row| codes(row[0])).collect();
    assert_eq!(documented.iter().cloned().collect::<BTreeSet<_>>(), there);
    assert_eq!(documented.len(), there.len(), "a key is documented twice");
    assert!(rows.iter().all(|row| row.len() == 3));
}

#[test]
fn a_sample_status_has_a_value_in_every_key_that_may_be_null() {
    fn nulls(value: &Value) -> bool {
        match value {
            Value::Object(map) => map.values().any(nulls),
            Value::Array(list) => list.iter().any(nulls),
            other => other.is_null(),
        }
    }
    let status = serde_json::to_value(full_status()).unwrap();
    assert!(!nulls(&status), "its keys below null would go unseen: {status:#}");
}

#[test]
fn every_unit_is_the_one_in_the_keys_name() {
    for row in rows("## status.json") {
        for key in codes(row[0]) {
            let unit = match key.trim_end_matches("[]").rsplit('_').next() {
                Some("ns") => "ns of `CLOCK_MONOTONIC`",
                Some("ms") => "ms",
                Some("s") => "s",
                Some("bytes") => "bytes",
                Some("ticks") => "clock ticks since boot",
                _ => continue,
            };
            assert_eq!(row[1], unit, "{key}");
        }
    }
}

#[test]
fn every_reason_to_drop_is_documented_with_what_is_dropped() {
    let documented: BTreeSet<_> = rows("### Reasons to drop")
        .iter()
        .map(|row| (codes(row[0]).next().unwrap(), row[1] == "packets"))
        .collect();
    let there = DropReason::VARIANTS.iter();
    let there = there.map(|why| (Into::<&str>::into(*why).to_owned(), why.is_of_packets()));
    assert_eq!(documented, there.collect());
}

#[test]
fn every_reason_of_a_producer_to_drop_is_documented() {
    let rows = rows("### Reasons of a producer to drop");
    let documented: BTreeSet<_> = rows.iter().flat_map(|row| codes(row[0])).collect();
    let there = NotProduced::VARIANTS.iter();
    assert_eq!(documented, there.map(|why| Into::<&str>::into(*why).to_owned()).collect());
}

#[test]
fn every_metric_is_documented_with_its_kind_and_labels() {
    let text = prometheus::render(&full_status());
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| {
        let (name, kind) = line.split_once(' ').unwrap();
        let sample = text.lines().find(|line| {
            let rest =
                line.strip_prefix(name).and_then(|rest| rest.strip_prefix("_sum").or(Some(rest)));
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let sample = sample.unwrap_or_else(|| panic!("no sample of {name}"));
        let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
        let names = labels.split("=\"").filter_map(|part| part.rsplit([',', '{']).next());
        let count = labels.matches("=\"").count();
        (name.to_owned(), kind.to_owned(), names.take(count).map(str::to_owned).collect::<Vec<_>>())
    });
    let there: BTreeSet<_> = kinds.collect();
    let documented = rows("## vas.prom").into_iter().map(|row| {
        let name = codes(row[0]).next().unwrap();
        (name, row[1].to_owned(), codes(row[2]).collect::<Vec<_>>())
    });
    assert_eq!(documented.collect::<BTreeSet<_>>(), there);
}

#[test]
fn every_state_is_documented() {
    let documented: Vec<_> =
        rows("### States of an input").iter().flat_map(|row| codes(row[0])).collect();
    let words: Vec<_> = InputState::VARIANTS.iter().map(ToString::to_string).collect();
    assert_eq!(documented, words);
}

/// Readers of the files rely on their bytes: names, order, numbers. These were written before the
/// types of the status became a crate.
#[test]
fn the_files_are_the_golden_ones_to_the_byte() {
    let mut status = full_status();
    status.service.process = ProcessId { pid: 7, start_ticks: Some(8) };
    status.written_ns = 9;
    let json = serde_json::to_string_pretty(&status).unwrap() + "\n";
    assert_golden("src/golden/status.json", &json);
    assert_golden("src/golden/vas.prom", &prometheus::render(&status));
}
