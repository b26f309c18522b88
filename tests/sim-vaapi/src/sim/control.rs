//! Settings that another process changes: `SIM_VA_CONTROL`.

use std::sync::LazyLock;

use vas_sim_common::control::Page;

use super::config::config;

static PAGE: LazyLock<Option<Page>> = LazyLock::new(|| {
    let path = config().control.as_ref()?;
    let page = Page::map(path);
    Some(page.unwrap_or_else(|error| panic!("SIM_VA_CONTROL {}: {error}", path.display())))
});

/// Applies changed settings.
pub(crate) fn poll() {
    let Some(lines) = PAGE.as_ref().and_then(Page::changed) else { return };
    for line in lines.lines().filter(|line| !line.is_empty()) {
        if let Err(why) = config().set(line) {
            panic!("SIM_VA_CONTROL: {why}");
        }
    }
}
