//! The config's text: the named file, and `conf.d/*.toml` beside it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use vas_toml::Position;

use super::problem::ConfigError;

/// The folder beside the config file that holds the rest of it.
const MORE: &str = "conf.d";
/// The maximum for all files together; a larger file was named by mistake.
const MAX_BYTES: u64 = 8 << 20;

/// The bytes of every file, including secrets: not for messages. Positions count through all files
/// as if they were one text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFiles {
    /// At least one; the named file first, the others by name.
    files: Vec<ConfigFile>,
}

/// One file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConfigFile {
    /// Its name in messages.
    pub(super) path: PathBuf,
    /// Where its relative paths start.
    pub(super) folder: PathBuf,
    #[serde(with = "text")]
    pub(super) bytes: Vec<u8>,
    /// The position at which it begins.
    pub(super) base: usize,
}

/// Bytes that were parsed are text, and are serialised as such.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, ser::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(std::str::from_utf8(bytes).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        Ok(String::deserialize(from)?.into_bytes())
    }
}

impl ConfigFiles {
    /// Reads the file at `path`, then those of `conf.d` beside it.
    ///
    /// # Errors
    /// One of them can't be read.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| ConfigError::Read { path, source }
        };
        // Relative paths in the file start at its own folder, wherever the service was started.
        let absolute = std::path::absolute(path).map_err(unreadable(path))?;
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let beside = path.parent().unwrap_or(Path::new("")).join(MORE);
        let mut files = Self { files: Vec::new() };
        let mut left = MAX_BYTES;
        let mut add = |path: &Path, folder: &Path| {
            let bytes = read(path, left).map_err(unreadable(path))?;
            left = left.saturating_sub(bytes.len() as u64);
            files.add(path, folder, bytes);
            Ok::<_, ConfigError>(())
        };
        add(path, folder)?;
        for name in toml_files(&folder.join(MORE)).map_err(unreadable(&beside))? {
            add(&beside.join(&name), &folder.join(MORE))?;
        }
        Ok(files)
    }

    /// One file with the given bytes.
    #[cfg(test)]
    pub(super) fn of(path: &Path, folder: &Path, bytes: &[u8]) -> Self {
        let mut files = Self { files: Vec::new() };
        files.add(path, folder, bytes.to_owned());
        files
    }

    pub(super) fn add(&mut self, path: &Path, folder: &Path, bytes: Vec<u8>) {
        // One more than its bytes: the end of a file is a position of its own.
        let base = self.len();
        self.files.push(ConfigFile { path: path.into(), folder: folder.into(), bytes, base });
    }

    fn len(&self) -> usize {
        self.files.last().map_or(0, |last| last.base + last.bytes.len() + 1)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, ConfigFile> {
        self.files.iter()
    }

    /// The files' names, as given.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// The file that contains a position.
    pub(super) fn at(&self, place: usize) -> &ConfigFile {
        let after = self.files.partition_point(|file| file.base <= place);
        &self.files[after.saturating_sub(1)]
    }

    /// The line and column of a position.
    pub(super) fn position(&self, place: usize) -> Position {
        let file = self.at(place);
        Position::of(&file.bytes, place - file.base)
    }

    /// A position in words, for a message about another one.
    pub(super) fn words(&self, place: usize, from: usize) -> String {
        let (file, line) = (&self.at(place).path, self.position(place).line);
        match *file == self.at(from).path {
            true => format!("line {line}"),
            false => format!("{}:{line}", file.display()),
        }
    }

    /// Names of all environment variables that occur, even in comments.
    pub fn variables(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for file in &self.files {
            let text = String::from_utf8_lossy(&file.bytes);
            names.extend(
                text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.into())),
            );
        }
        names
    }
}

impl std::fmt::Debug for ConfigFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte beyond the limit proves that it is too long: a file named by mistake may be endless.
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("a config has at most {MAX_BYTES} bytes, all files together"),
        ));
    }
    Ok(bytes)
}

/// Names of the files in `folder` that belong to the config, in order. Hidden ones are an editor's.
fn toml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = PathBuf::from(entry?.file_name());
        let hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
        if !hidden && name.extension().is_some_and(|extension| extension == "toml") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_file_comes_first_and_the_others_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        for name in ["b.toml", "a.toml", ".c.toml", "d.toml~", "e.txt"] {
            fs::write(dir.path().join("conf.d").join(name), "x").unwrap();
        }
        fs::write(dir.path().join("vas.toml"), "# ${A} ${B\n").unwrap();
        let files = ConfigFiles::read(&dir.path().join("vas.toml")).unwrap();
        let names: Vec<_> =
            files.paths().map(|path| path.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, ["vas.toml", "conf.d/a.toml", "conf.d/b.toml"].map(Path::new));
        assert_eq!(files.variables(), ["A".to_owned()].into());
        assert!(ConfigFiles::read(&dir.path().join("none.toml")).is_err());
    }

    #[test]
    fn the_limit_is_that_of_all_files_together_to_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, beside) = (dir.path().join("vas.toml"), dir.path().join("conf.d"));
        fs::create_dir(&beside).unwrap();
        fs::write(&whole, vec![b'#'; MAX_BYTES as usize]).unwrap();
        fs::write(beside.join("a.toml"), "").unwrap();
        assert!(ConfigFiles::read(&whole).is_ok());
        fs::write(beside.join("b.toml"), "#").unwrap();
        let words = ConfigFiles::read(&whole).unwrap_err().to_string();
        assert!(words.contains("b.toml"), "{words}");
        fs::write(&whole, vec![b'#'; MAX_BYTES as usize - 1]).unwrap();
        assert!(ConfigFiles::read(&whole).is_ok());
    }

    #[test]
    fn a_file_without_an_end_is_refused_when_it_is_too_long() {
        let error = ConfigFiles::read(Path::new("/dev/zero")).unwrap_err();
        let ConfigError::Read { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn places_have_file_line_and_column() {
        let mut files = ConfigFiles::of(Path::new("one"), Path::new("/"), "a\nü=".as_bytes());
        files.add(Path::new("two"), Path::new("/"), b"b\n\ncd".to_vec());
        let position = |place| {
            let Position { line, column } = files.position(place);
            (files.at(place).path.to_str().unwrap(), line, column)
        };
        assert_eq!(position(0), ("one", 1, 1));
        assert_eq!(position(4), ("one", 2, 2));
        assert_eq!(position(5), ("one", 2, 3));
        assert_eq!(position(6), ("two", 1, 1));
        assert_eq!(position(10), ("two", 3, 2));
        assert_eq!(position(99), ("two", 3, 3));
    }
}
