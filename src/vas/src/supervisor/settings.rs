//! What differs between two configs. Pure.

use std::collections::HashMap;

use vas_config::Config;

/// The numbers of cameras that a change of the config affects.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) changed: usize,
    pub(super) same: usize,
}

impl Changed {
    pub(super) fn between(old: &Config, new: &Config) -> Self {
        let mut before: HashMap<_, _> =
            old.cameras.iter().map(|camera| (&camera.id, camera)).collect();
        let mut changed = Self::default();
        for camera in &new.cameras {
            match before.remove(&camera.id) {
                None => changed.added += 1,
                Some(before) if before == camera => changed.same += 1,
                Some(_) => changed.changed += 1,
            }
        }
        changed.removed = before.len();
        changed
    }
}

impl std::fmt::Display for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { added, removed, changed, same } = self;
        write!(f, "{added} cameras added, {removed} removed, {changed} changed, {same} as before")
    }
}

/// The settings that differ but take effect only when the service is restarted.
pub(super) fn for_a_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("[service] run_dir", old.run_dir != new.run_dir),
        ("[service] shards", old.shards != new.shards),
        ("[export]", old.export != new.export),
        ("[readers]", old.readers_dir != new.readers_dir),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vas_channel::Given;
    use vas_config::{ConfigFiles, Environment};

    fn config(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vas.toml");
        std::fs::write(&path, text).unwrap();
        let environment = Environment { is_root: true, ..Environment::default() };
        Given::new(ConfigFiles::read(&path).unwrap(), &environment).understand().unwrap()
    }

    fn camera(id: &str, password: &str) -> String {
        format!("[[camera]]\nid = \"{id}\"\nurl = \"rtsp://u:{password}@cam/\"\n")
    }

    #[test]
    fn a_password_is_a_change_and_a_table_asks_for_a_restart() {
        let old = config(&[camera("a", "1"), camera("b", "1"), camera("c", "1")].concat());
        let new = config(
            &["[export]\nslots = 9\n".into(), camera("c", "2"), camera("d", "1"), camera("a", "1")]
                .concat(),
        );
        let changed = Changed::between(&old, &new);
        assert_eq!(changed, Changed { added: 1, removed: 1, changed: 1, same: 1 });
        assert_eq!(for_a_restart(&old, &new), ["[export]"]);
        assert_eq!(for_a_restart(&old, &old), Vec::<&str>::new());
    }
}
