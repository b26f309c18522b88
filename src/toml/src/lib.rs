//! Reads TOML table by table and reports all problems of a file at once, each with its line and column.
//!
//! Deserialising into structs stops at the first problem and loses the positions of keys. Here the caller asks a
//! [`Section`] for each key that is valid in a table; what has another type, and each key that nobody asked for, becomes a
//! [`Finding`]. The caller adds its own, and makes [`Problems`] of all of them, which print a line each.
//!
//! ```
//! use vas_toml::{Fault, Field, Finding, Found, Position, Problems};
//!
//! let text = "[camera]\nurl = 5\nidd = \"gate\"\n";
//! let mut findings: Vec<Finding<Fault>> = Vec::new();
//! let url = vas_toml::read(text, 0, Found::Kind, &mut findings, |root| {
//!     root.table("camera", |camera| {
//!         camera.string("id", "a name such as \"gate\"");
//!         camera.string("url", "a string such as \"rtsp://10.0.0.2/\"")
//!     })
//! });
//! assert!(matches!(url, Some(Field::Wrong)));
//! let position = |at| ("vas.toml".into(), Position::of(text.as_bytes(), at));
//! assert_eq!(
//!     Problems::new(findings, position).to_string(),
//!     "vas.toml:2:7: [camera]: `url`: expected a string such as \"rtsp://10.0.0.2/\", found a whole number\n\
//!      vas.toml:3:1: [camera]: unknown key `idd`; did you mean `id`?"
//! );
//! ```

#![forbid(unsafe_code)]

mod nearest;
mod problem;
mod section;

pub use nearest::nearest;
pub use problem::{Fault, Finding, Place, Position, Problem, Problems};
pub use section::{Field, Found, Section, read, text_or_number};
pub use toml::Spanned;
pub use toml::de::DeValue as Value;
