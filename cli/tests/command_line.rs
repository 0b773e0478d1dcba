//! The program as a shell sees it: help, exit codes, JSON.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helper functions too"
)]
use std::path::Path;
use std::process::{Command, Output};

fn fleet(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("NO_COLOR", "1")
        .envs(variables.iter().copied());
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stdout(output)))
}

/// A port that nothing listens on.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn the_command_tree_is_sound() {
    fleet_cli::args::command().debug_assert();
}

/// An option of every command that has the id of a command's own argument would be read as that one.
#[test]
fn no_command_has_an_argument_with_the_id_of_an_option_of_all() {
    fn look(command: &clap::Command, path: &str, globals: &[String]) {
        for argument in command.get_arguments().filter(|a| !a.is_global_set()) {
            let id = argument.get_id().to_string();
            assert!(!globals.contains(&id), "{path}: {id}");
        }
        for inner in command.get_subcommands() {
            look(inner, &format!("{path} {}", inner.get_name()), globals);
        }
    }
    let root = fleet_cli::args::command();
    let globals: Vec<_> = root
        .get_arguments()
        .filter(|a| a.is_global_set())
        .map(|a| a.get_id().to_string())
        .collect();
    assert!(globals.len() > 5);
    look(&root, "fleet", &globals);
}

#[test]
fn help_lists_the_commands_and_the_exit_codes() {
    insta::assert_snapshot!(
        fleet_cli::args::command()
            .term_width(100)
            .render_help()
            .to_string()
    );
}

#[test]
fn every_verb_of_the_language_is_a_command_of_the_shell() {
    for verb in fleet_protocol::language::verbs() {
        let mut command = fleet_cli::args::command();
        command.build();
        let found = verb
            .name
            .split('.')
            .try_fold(&mut command, |at, word| at.find_subcommand_mut(word));
        assert!(found.is_some(), "{}", verb.name);
    }
}

#[test]
fn a_wrong_word_is_a_usage_error_with_a_suggestion() {
    let folder = tempfile::tempdir().unwrap();
    let output = fleet(folder.path(), &["tsak", "add", "x"], &[]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("task"));
    assert_eq!(code(&fleet(folder.path(), &["task", "add"], &[])), 2);
    assert_eq!(code(&fleet(folder.path(), &["help", "nothing"], &[])), 2);
    assert_eq!(code(&fleet(folder.path(), &[], &[])), 2);
}

#[test]
fn bench_names_its_measures_and_refuses_what_it_cannot_do() {
    let folder = tempfile::tempdir().unwrap();
    let help = fleet(folder.path(), &["bench", "--help"], &[]);
    let text = stdout(&help);
    for measured in ["roundtrip", "burst", "gateway", "memory", "all"] {
        assert!(text.contains(&format!("- {measured}:")), "{text}");
    }
    assert!(
        !text.contains("echo-bot") && !text.contains("--answer"),
        "{text}"
    );
    for wrong in [
        &["bench", "speed"][..],
        &["bench", "--samples", "0"],
        &["bench", "--shared-secret-file", "x"],
    ] {
        assert_eq!(code(&fleet(folder.path(), wrong, &[])), 2, "{wrong:?}");
    }
    let alone = fleet(folder.path(), &["bench", "echo-bot"], &[]);
    assert_eq!(code(&alone), 5);
}

#[test]
fn help_needs_no_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let output = fleet(folder.path(), &["help", "budget", "set"], &[]);
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).contains("--reset-at"));
}

#[test]
fn without_a_token_the_configuration_is_at_fault() {
    let folder = tempfile::tempdir().unwrap();
    let output = fleet(folder.path(), &["--json", "status"], &[]);
    assert_eq!(code(&output), 5);
    let error = &json(&output)["error"];
    assert_eq!(error["exit"], 5);
    assert!(
        error["detail"]
            .as_str()
            .unwrap()
            .contains("FLEET__OPERATOR__TOKEN"),
        "{error}"
    );
}

#[test]
fn an_unreachable_gateway_has_its_own_code_and_gives_the_key_to_repeat_with() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}", closed_port());
    let variables = [
        ("FLEET__GATEWAY__URL", url.as_str()),
        ("FLEET__OPERATOR__TOKEN", "very-secret"),
    ];
    let output = fleet(
        folder.path(),
        &["task", "add", "x", "--idempotency-key", "k-1"],
        &variables,
    );
    assert_eq!(code(&output), 3);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("--idempotency-key k-1") && said.contains("gateway.url"),
        "{said}"
    );
    assert!(!said.contains("very-secret"));
}

#[test]
fn doctor_has_a_code_for_the_first_broken_hop() {
    let folder = tempfile::tempdir().unwrap();
    let dead = format!("http://127.0.0.1:{}", closed_port());
    let variables = [
        ("FLEET__HOMESERVER__URL", dead.as_str()),
        ("FLEET__GATEWAY__URL", dead.as_str()),
        ("FLEET__OPERATOR__TOKEN", "t"),
    ];
    let output = fleet(folder.path(), &["doctor", "--json"], &variables);
    assert_eq!(code(&output), 10);
    let hops = json(&output);
    assert_eq!(hops[0]["hop"], "homeserver");
    assert_eq!(hops[0]["ok"], false);
    assert!(
        hops.as_array()
            .unwrap()
            .iter()
            .any(|h| h["hop"] == "gateway" && h["ok"] == false)
    );
}

#[test]
fn config_check_names_every_fault_and_has_its_code() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(code(&fleet(folder.path(), &["config", "check"], &[])), 0);
    std::fs::write(
        folder.path().join("fleet.toml"),
        "[bot]\ntoken_file = \"/nowhere\"\n",
    )
    .unwrap();
    let output = fleet(folder.path(), &["config", "check", "--json"], &[]);
    assert_eq!(code(&output), 5);
    assert_eq!(json(&output)["ok"], false);
    assert!(
        json(&output)["faults"][0]
            .as_str()
            .unwrap()
            .contains("bot.token_file")
    );
}

#[test]
fn completion_scripts_know_the_language() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = fleet(folder.path(), &["completion", shell], &[]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("budget"), "{shell}");
    }
}

#[test]
fn the_reference_pages_are_generated_from_the_types() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        code(&fleet(folder.path(), &["docs", "--out", "out"], &[])),
        0
    );
    let read = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    insta::assert_snapshot!("commands_page", read("commands.md"));
    insta::assert_snapshot!("configuration_page", read("configuration.md"));
    assert!(read("events.md").contains("dev.mosaicstack.fleet.receipt"));
    assert!(read("api.md").starts_with("# API"));
}

/// `fleet completion bash` with this standard output: its exit code, and what it says on standard error.
fn completion(to: std::process::Stdio) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command.args(["completion", "bash"]).env_clear();
    let ended = command
        .stdout(to)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    (code(&ended), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn who_has_read_enough_hears_of_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(completion(writer.into()), (0, String::new()));
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let (code, said) = completion(full.into());
    assert_eq!(code, 4);
    assert!(said.contains("cannot write the answer"), "{said}");
}
