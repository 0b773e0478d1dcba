//! Roster and role files: the form that existing fleets use, ours on top, and clear refusals.

use fleet_protocol::role::Role;
use fleet_protocol::roster::{Roster, Transport};

const EXISTING: &str = "
version: 1
transport: tmux
tmux: { socketName: mosaic-fleet, holderSession: holder }
defaults: { workingDirectory: ~/src }
runtimes:
  claude: { resetCommand: /clear }
  codex: { reset_command: /new }
agents:
  - { name: orchestrator-1, runtime: claude, class: orchestrator }
  - { name: code-1, runtime: codex, class: code, host: h2, ssh: me@h2, socket: s, modelHint: opus, resetBetweenTasks: true }
";

const OURS: &str = "
version: 1
transport: matrix
tenant_id: acme
connector:
  kind: matrix
  matrix: { homeserverUrl: 'https://matrix.example.org', userId: '@fleet:example.org', room: '#lobby:example.org' }
rooms:
  board: { name: Board, topic: Votes, verbosity: quiet }
board:
  seats: ['ceo=@kim:example.org!veto', 'cfo=code-1*2']
members:
  - { user: '@kim:example.org', role: member, room: board }
budgets:
  - { provider: claude, limit: 2000000, unit: tokens, reset_at: '2026-11-30T09:00+01:00', every: 7d }
";

#[test]
fn the_existing_fleets_file_is_read_in_either_case() {
    let roster = Roster::read(EXISTING).unwrap();
    assert_eq!(roster.transport, Transport::Tmux);
    assert_eq!(roster.agents[1].model_hint.as_deref(), Some("opus"));
    assert!(roster.agents[1].reset_between_tasks && !roster.agents[0].reset_between_tasks);
    let resets: Vec<_> = roster
        .runtimes
        .values()
        .map(|r| r.reset_command.as_deref())
        .collect();
    assert_eq!(resets, [Some("/clear"), Some("/new")]);
}

#[test]
fn what_is_ours_stands_on_top_and_survives_writing() {
    let roster = Roster::read(OURS).unwrap();
    let board = roster.board.as_ref().unwrap();
    assert!(board.seats[0].may_veto);
    assert_eq!(board.seats[1].weight, 2);
    assert_eq!(roster.budgets[0].limit.get(), 2_000_000);
    let written = serde_norway::to_string(&roster).unwrap();
    assert_eq!(Roster::read(&written).unwrap(), roster);
}

#[test]
fn a_role_file_is_read() {
    let role = Role::read("title: Coder\nmandate: Writes code.\nboundaries: [never merges]\npersona: Careful.\nroom: code\nmayCommand: [operator, member]\n").unwrap();
    assert_eq!(role.may_command.len(), 2);
}

#[test]
fn a_refusal_names_the_path() {
    let base = "version: 1\ntransport: tmux\n";
    for (yaml, message) in [
        (
            format!("{base}colour: red\n"),
            "colour: unknown field `colour`",
        ),
        (
            format!("{base}agents:\n  - {{ name: a, runtime: r, class: c, modell: x }}\n"),
            "agents[0].modell: unknown field `modell`",
        ),
        (
            format!("{base}agents:\n  - {{ name: a, class: c }}\n"),
            "agents[0]: missing field `runtime`",
        ),
        (
            format!("{base}agents:\n  - {{ name: A B, runtime: r, class: c }}\n"),
            "agents[0].name: is not a name",
        ),
        (
            format!(
                "{base}agents:\n  - {{ name: a, runtime: r, class: c }}\n  - {{ name: a, runtime: r, class: c }}\n"
            ),
            "agents[1].name: there is an agent named a above",
        ),
        (
            format!("{base}connector: {{ kind: matrix }}\n"),
            "connector.matrix: missing",
        ),
        (
            format!("{base}board: {{ seats: [nobody] }}\n"),
            "board.seats: ",
        ),
        (
            "version: 2\ntransport: tmux\n".to_owned(),
            "version: 2 is not read here",
        ),
        ("transport: pigeon\n".to_owned(), "transport: "),
    ] {
        let error = Roster::read(&yaml).unwrap_err().to_string();
        assert!(error.starts_with(message), "{yaml}\n{error}");
    }
}
