//! The configuration: where values come from, what is refused, what is never shown.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fleet_cli::settings::{SecretText, Settings, SettingsError, keys};

fn environment(pairs: &[(&str, &str)]) -> config::Environment {
    let pairs = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    config::Environment::with_prefix("FLEET").source(Some(pairs))
}

fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fleet.toml");
    std::fs::write(&file, toml).unwrap();
    Settings::load_from(Some(&file), environment(variables))
}

#[test]
fn nothing_set_gives_the_defaults() {
    let settings = load("", &[]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.gateway.listen.to_string(), "127.0.0.1:14242");
    assert_eq!(settings.gateway.url.as_str(), "http://127.0.0.1:14242/");
    assert!(settings.faults().is_empty());
}

#[test]
fn the_environment_wins_over_the_file() {
    let toml = "[gateway]\nlisten = \"127.0.0.1:1\"\n[tenant]\nid = \"ours\"\n";
    let settings = load(
        toml,
        &[
            ("FLEET__GATEWAY__LISTEN", "0.0.0.0:2"),
            ("FLEET__DATABASE__POOL_SIZE", "7"),
        ],
    )
    .unwrap();
    assert_eq!(settings.gateway.listen.to_string(), "0.0.0.0:2");
    assert_eq!(settings.tenant.id.as_str(), "ours");
    assert_eq!(settings.database.pool_size, Some(7));
}

#[test]
fn other_variables_are_not_ours() {
    assert_eq!(
        load("", &[("FLEET_TEST_HOMESERVER", "x"), ("PATH", "y")]).unwrap(),
        Settings::default()
    );
}

#[test]
fn a_fault_names_its_key() {
    let cases = [
        ("[gateway]\nport = 1\n", vec![], "gateway"),
        (
            "[gateway]\nlisten = \"nowhere\"\n",
            vec![],
            "gateway.listen",
        ),
        ("[tenant]\nid = \"Two Words\"\n", vec![], "tenant.id"),
        ("[nothing]\nx = 1\n", vec![], "nothing"),
        ("", vec![("FLEET__BOT__PASWORD", "secret-value")], "bot"),
        ("", vec![("FLEET__LOG__FORMAT", "yaml")], "log.format"),
    ];
    for (toml, variables, key) in cases {
        let error = load(toml, &variables).unwrap_err();
        assert!(
            error.to_string().contains(key),
            "{toml}{variables:?}: {error}"
        );
        assert!(!error.to_string().contains("secret-value"), "{error}");
    }
}

#[test]
fn a_named_file_must_exist_and_be_toml() {
    assert!(matches!(
        Settings::load_from(Some(Path::new("/nowhere.toml")), environment(&[])),
        Err(SettingsError::Source(_))
    ));
    assert!(matches!(
        load("= broken", &[]),
        Err(SettingsError::Source(_))
    ));
}

fn secret_file(mode: u32, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    (folder, file)
}

#[test]
fn a_secret_comes_from_a_file_that_only_its_owner_reads() {
    let (_folder, file) = secret_file(0o600, "open sesame\n");
    let secret = SecretText::required("bot.token", None, Some(&file)).unwrap();
    assert_eq!(secret.expose(), "open sesame");
    assert!(!format!("{secret:?}").contains("sesame"));
}

#[test]
fn a_secret_file_that_others_read_or_that_is_empty_or_absent_is_refused() {
    for (mode, text, words) in [
        (0o644, "x", "chmod 600"),
        (0o640, "x", "0640"),
        (0o600, " \n", "empty"),
    ] {
        let (_folder, file) = secret_file(mode, text);
        let error = SecretText::of("bot.token", None, Some(&file))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(words) && error.contains("bot.token_file"),
            "{error}"
        );
    }
    assert!(SecretText::of("bot.token", None, Some(Path::new("/nowhere"))).is_err());
}

#[test]
fn a_secret_given_twice_or_not_at_all_is_told_with_its_key() {
    let (_folder, file) = secret_file(0o600, "x");
    let inline = SecretText::new("y");
    assert!(matches!(
        SecretText::of("bot.token", Some(&inline), Some(&file)),
        Err(SettingsError::Twice { key: "bot.token" })
    ));
    let error = SecretText::required("bot.token", None, None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("bot.token") && error.contains("FLEET__BOT__TOKEN"),
        "{error}"
    );
}

#[test]
fn what_is_shown_hides_secrets_and_reads_back() {
    let settings = load(
        "[bot]\nstore = \"/s\"\n",
        &[("FLEET__DATABASE__URL", "postgres://u:hunter2@h/d")],
    )
    .unwrap();
    let shown = settings.shown().unwrap();
    assert!(
        !shown.contains("hunter2") && shown.contains("(hidden)"),
        "{shown}"
    );
    let mut expected = settings;
    expected.database.url = Some(SecretText::new("(hidden)"));
    assert_eq!(load(&shown, &[]).unwrap(), expected);
}

#[test]
fn faults_of_secret_files_zone_and_filter_are_all_found() {
    let toml = "[tenant]\nzone = \"Mars/Base\"\n[log]\nfilter = \"=x=\"\n[bot]\ntoken_file = \"/nowhere\"\n";
    let faults: Vec<_> = load(toml, &[])
        .unwrap()
        .faults()
        .iter()
        .map(ToString::to_string)
        .collect();
    for key in ["tenant.zone", "log.filter", "bot.token_file"] {
        assert!(
            faults.iter().any(|f| f.contains(key)),
            "{key} in {faults:?}"
        );
    }
}

#[test]
fn every_key_is_documented_and_has_its_variable() {
    let keys = keys();
    assert!(keys.len() > 25, "{}", keys.len());
    for key in &keys {
        assert!(!key.meaning.is_empty(), "{} has no meaning", key.key);
        assert_eq!(
            key.variable,
            format!("FLEET__{}", key.key.replace('.', "__").to_uppercase())
        );
    }
    assert!(
        keys.iter()
            .any(|k| k.key == "log.format" && k.default.as_deref() == Some("text"))
    );
}
