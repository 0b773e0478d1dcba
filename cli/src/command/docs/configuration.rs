//! The page of configuration keys.

use std::fmt::Write as _;

use super::cell;
use crate::settings::keys;

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Configuration keys\n\nGenerated from the types by `fleet docs`.\n\n\
         A key is set in `fleet.toml` or by its environment variable, which wins. Where a secret `x` has a key\n\
         `x_file`, that file must have mode 0600.\n\n| key | variable | meaning | default |\n|---|---|---|---|\n",
    );
    for key in keys() {
        let default = key
            .default
            .as_deref()
            .map(|d| format!("`{d}`"))
            .unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | `{}` | {} | {} |",
            key.key,
            key.variable,
            cell(&key.meaning),
            cell(&default)
        );
    }
    page
}
