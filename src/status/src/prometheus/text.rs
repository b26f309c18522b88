//! Prometheus's text exposition format, version 0.0.4.

use std::fmt::{Display, Write as _};

/// The type of a family of samples.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text being written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Starts a family and adds its samples. More may be added until the next family starts.
    pub(super) fn family<'a, const LABELS: usize>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl IntoIterator<Item = ([(&'static str, &'a str); LABELS], impl Display)>,
    ) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
    }

    /// Adds one sample to the current family.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let mut text = String::from(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            text.push(if n == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            text.extend(value.chars().flat_map(escaped));
            text.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.line(format_args!("{text}{end} {value}"));
    }

    /// Adds samples that were rendered before.
    pub(super) fn rendered(&mut self, samples: &str) {
        self.0.push_str(samples);
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes all that is written to it");
    }
}

/// A character of a label's value.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let (escape, c) = match c {
        '\\' | '"' => (Some('\\'), c),
        '\n' => (Some('\\'), 'n'),
        _ => (None, c),
    };
    escape.into_iter().chain([c])
}
