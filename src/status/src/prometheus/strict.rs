//! A strict reader of the text format, for tests: Prometheus accepts all that it accepts.
//!
//! Stricter than the format: each family starts with HELP and TYPE, its samples are contiguous, no
//! series appears twice, counters end in `_total`, and histograms are complete.

use std::collections::{BTreeMap, BTreeSet};

/// Names and values, in the order of the text.
type Labels = Vec<(String, String)>;

/// Name and labels.
type Series = (String, Labels);

/// All samples of a text.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) kinds: BTreeMap<String, String>,
    pub(super) values: BTreeMap<Series, f64>,
}

impl Samples {
    /// The value of a series, whose labels are given as in the text.
    pub(super) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self.values.get(&(name.to_owned(), labels)).copied()
    }
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Samples, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let mut samples = Samples::default();
    let mut helped = BTreeSet::new();
    let mut family: Option<String> = None;
    for line in text.lines() {
        let wrong = |what: &str| format!("{what}: {line:?}");
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').ok_or_else(|| wrong("no words"))?;
            if !is_name(name) || words.is_empty() || !helped.insert(name.to_owned()) {
                return Err(wrong("bad or second HELP"));
            }
            family = None;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or_else(|| wrong("no type"))?;
            let second = samples.kinds.insert(name.to_owned(), kind.to_owned()).is_some();
            if second
                || !helped.contains(name)
                || !["counter", "gauge", "histogram"].contains(&kind)
            {
                return Err(wrong("bad or second TYPE, or one without HELP"));
            }
            if (kind == "counter") != name.ends_with("_total") {
                return Err(wrong("_total is for counters, and for all of them"));
            }
            family = Some(name.to_owned());
        } else {
            let (series, value) = sample(line).ok_or_else(|| wrong("no sample"))?;
            let family = family.as_deref().ok_or_else(|| wrong("a sample of no family"))?;
            let suffix = series.0.strip_prefix(family).ok_or_else(|| wrong("another family's"))?;
            let histogram = samples.kinds[family] == "histogram";
            let suffixes: &[&str] = if histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
            if !suffixes.contains(&suffix) {
                return Err(wrong("another family's"));
            }
            if samples.values.insert(series, value).is_some() {
                return Err(wrong("twice"));
            }
        }
    }
    histograms_are_whole(&samples)?;
    Ok(samples)
}

/// Buckets rise and end with `+Inf`, which equals the count.
fn histograms_are_whole(samples: &Samples) -> Result<(), String> {
    for name in samples.kinds.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name)
    {
        let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for ((series, labels), value) in &samples.values {
            if *series == format!("{name}_bucket") {
                let (le, others) = labels.split_last().ok_or("a bucket without labels")?;
                let bound =
                    if le.1 == "+Inf" { f64::INFINITY } else { number(&le.1).ok_or("no bound")? };
                if le.0 != "le" {
                    return Err("a bucket without `le`".into());
                }
                buckets.entry(others.to_vec()).or_default().push((bound, *value));
            }
        }
        for (labels, mut buckets) in buckets {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            let count = samples.values.get(&(format!("{name}_count"), labels.clone()));
            let sum = samples.values.get(&(format!("{name}_sum"), labels));
            let last = buckets.last().copied();
            let whole = last.is_some_and(|(bound, all)| bound.is_infinite() && count == Some(&all));
            if !whole || sum.is_none() || !buckets.is_sorted_by(|a, b| a.1 <= b.1) {
                return Err(format!("{name} is not whole: {buckets:?} {count:?} {sum:?}"));
            }
        }
    }
    Ok(())
}

fn sample(line: &str) -> Option<(Series, f64)> {
    let name_end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(name_end);
    if !is_name(name) {
        return None;
    }
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            if !is_name(label)
                || label.contains(':')
                || labels.iter().any(|(known, _)| known == label)
            {
                return None;
            }
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = after.strip_prefix(',')?;
        }
    }
    Some(((name.to_owned(), labels), number(rest.strip_prefix(' ')?)?))
}

/// The value up to its closing quote, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            (_, c) => value.push(c),
        }
    }
}

fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

#[test]
fn it_refuses_what_it_should() {
    let head = "# HELP a_total x\n# TYPE a_total counter\n";
    let ok = |tail: &str| parse(&format!("{head}{tail}"));
    assert_eq!(ok("a_total{b=\"c\\\\\\\"\\n\"} 1\n").unwrap().values.len(), 1);
    for bad in [
        "a_total{b=\"c\"} 1",
        "a_total{b=\"c\"}  1\n",
        "a_total{b=\"c\" 1\n",
        "a_total{b=\"\\x\"} 1\n",
        "a_total{b=\"c\",b=\"d\"} 1\n",
        "a_total 1\na_total 2\n",
        "a_total NaN\n",
        "b_total 1\n",
        "a_total_sum 1\n",
        "# HELP a_total x\n",
        "# TYPE b gauge\nb 1\n",
        "# HELP b x\n# TYPE b counter\n",
        "# HELP b x\n# TYPE b gauge\na_total 1\n",
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
        "\n",
    ] {
        assert!(ok(bad).is_err(), "{bad:?}");
    }
}
