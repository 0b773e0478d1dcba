//! Tables of the board's rules; the properties are in `properties`, the record in `record`.

use fleet_protocol::Command;
use fleet_protocol::Timestamp;
use fleet_protocol::record::{
    Act, Ballot, Content, Default as ByDefault, Entry, Extension, FrozenSeat, Outcome, Rule,
    Threshold, Via,
};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::board::{Effect, Holder, ProposalKind, Verdict};
use fleet_protocol::verbs::fleet::{Pause, Resume};

use super::*;

mod properties;
mod record;

use Verdict::{Abstain, Approve, Conditional, Reject, Veto};

const RULE: Rule = Rule {
    quorum: 50,
    threshold: Threshold::Majority,
    default: ByDefault::Rejected,
    principals: 1,
    two_keys: false,
    human_above: None,
};

/// A seat `s0`, `s1`, ... held by a person of its own.
fn seat(index: usize, weight: u16) -> FrozenSeat {
    FrozenSeat {
        title: format!("s{index}").parse().unwrap(),
        holder: format!("@u{index}:test").parse().unwrap(),
        weight,
        may_veto: false,
        human: true,
        proposer: false,
    }
}

fn seats(weights: &[u16]) -> Vec<FrozenSeat> {
    weights
        .iter()
        .enumerate()
        .map(|(i, w)| seat(i, *w))
        .collect()
}

fn entry(sequence: u64, act: Act) -> Entry {
    Entry {
        sequence,
        at: Timestamp::from_millis(1_000 * sequence.cast_signed()),
        by: "@kim:test".into(),
        event: None,
        act,
    }
}

fn cast(sequence: u64, index: usize, verdict: Verdict, reasoned: bool) -> Entry {
    let ballot = Ballot {
        seat: format!("s{index}").parse().unwrap(),
        verdict,
        via: Via::Command,
        incarnation: None,
        confidence: None,
        reasoned,
        statement_hash: None,
        statement: None,
    };
    entry(sequence, Act::Cast(ballot))
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// One ballot of each of the first seats.
fn ballots(verdicts: &[Verdict]) -> Vec<Entry> {
    let one = |(i, v): (usize, &Verdict)| cast(i as u64 + 1, i, *v, true);
    verdicts.iter().enumerate().map(one).collect()
}

fn decide(seats: &[FrozenSeat], entries: &[Entry], rule: &Rule, human: bool) -> Ended {
    outcome(&tally(seats, &stand(seats, entries)), rule, human)
}

fn early(seats: &[FrozenSeat], entries: &[Entry], rule: &Rule) -> Option<Outcome> {
    settled(&tally(seats, &stand(seats, entries)), rule, false)
}

#[test]
fn outcomes_of_four_seats() {
    let table: [(&[Verdict], Outcome); 10] = [
        (&[Approve, Approve, Reject, Reject], Outcome::Rejected),
        (&[Approve, Approve, Approve, Reject], Outcome::Approved),
        (&[Approve], Outcome::Rejected),
        (&[Approve, Abstain], Outcome::Approved),
        (&[Abstain, Abstain, Abstain, Abstain], Outcome::Rejected),
        (&[], Outcome::Rejected),
        (
            &[Approve, Conditional, Reject],
            Outcome::ApprovedWithConditions,
        ),
        (&[Approve, Approve, Conditional, Reject], Outcome::Approved),
        (&[Conditional, Conditional], Outcome::ApprovedWithConditions),
        (&[Veto, Approve, Approve, Approve], Outcome::Approved),
    ];
    for (verdicts, expected) in table {
        let ended = decide(&seats(&[1; 4]), &ballots(verdicts), &RULE, false);
        assert_eq!(ended.outcome, expected, "{verdicts:?}");
    }
}

#[test]
fn weights_decide() {
    let cases = [
        (
            &[3, 1, 1][..],
            &[Reject, Approve, Approve][..],
            Outcome::Rejected,
        ),
        (&[1, 2], &[Reject, Approve], Outcome::Approved),
    ];
    for (weights, verdicts, expected) in cases {
        let ended = decide(&seats(weights), &ballots(verdicts), &RULE, false);
        assert_eq!(ended.outcome, expected, "{weights:?}");
    }
}

#[test]
fn a_veto_blocks_only_with_right_and_reason() {
    let mut table = seats(&[1; 4]);
    let mut all = ballots(&[Veto, Approve, Approve, Approve]);
    table[0].may_veto = true;
    assert_eq!(
        decide(&table, &all, &RULE, false).outcome,
        Outcome::Rejected
    );
    all[0] = cast(1, 0, Veto, false);
    assert_eq!(
        decide(&table, &all, &RULE, false).outcome,
        Outcome::Approved
    );
}

#[test]
fn shares_pass_at_the_share_and_a_majority_only_above_half() {
    let share = |of, out_of| Rule {
        quorum: 0,
        threshold: Threshold::AtLeast { of, out_of },
        ..RULE
    };
    let three = ballots(&[Approve, Approve, Reject]);
    for (rule, expected) in [
        (share(2, 3), Outcome::Approved),
        (share(3, 4), Outcome::Rejected),
        (share(1, 1), Outcome::Rejected),
    ] {
        assert_eq!(
            decide(&seats(&[1; 3]), &three, &rule, false).outcome,
            expected,
            "{rule:?}"
        );
    }
}

#[test]
fn a_default_holds_without_quorum_or_votes_and_never_over_an_objection() {
    let lazy = Rule {
        quorum: 50,
        default: ByDefault::Approved,
        ..RULE
    };
    let table: [(&[Verdict], Ended); 4] = [
        (
            &[],
            Ended {
                outcome: Outcome::Approved,
                by_default: true,
            },
        ),
        (
            &[Reject],
            Ended {
                outcome: Outcome::Rejected,
                by_default: true,
            },
        ),
        (
            &[Abstain, Abstain],
            Ended {
                outcome: Outcome::Approved,
                by_default: true,
            },
        ),
        (
            &[Approve, Abstain],
            Ended {
                outcome: Outcome::Approved,
                by_default: false,
            },
        ),
    ];
    for (verdicts, expected) in table {
        assert_eq!(
            decide(&seats(&[1; 4]), &ballots(verdicts), &lazy, false),
            expected,
            "{verdicts:?}"
        );
    }
    let nobody = decide(&seats(&[1; 4]), &[], &RULE, false);
    assert_eq!(
        nobody,
        Ended {
            outcome: Outcome::Rejected,
            by_default: true
        }
    );
}

#[test]
fn one_principal_on_several_seats_is_one_principal() {
    let rule = Rule {
        principals: 2,
        ..RULE
    };
    let mut table = seats(&[1; 3]);
    table[1].holder = table[0].holder.clone();
    let both = ballots(&[Approve, Approve]);
    assert_eq!(
        decide(&table, &both, &rule, false).outcome,
        Outcome::Rejected
    );
    assert_eq!(early(&table, &both, &rule), None, "the third can complete");
    let third = ballots(&[Approve, Approve, Approve]);
    assert_eq!(
        decide(&table, &third, &rule, false).outcome,
        Outcome::Approved
    );
    let with_conditions = ballots(&[Approve, Approve, Conditional]);
    assert_eq!(
        decide(&table, &with_conditions, &rule, false).outcome,
        Outcome::ApprovedWithConditions
    );
    assert!(!can_pass(&table[..2], &rule, false));
    assert!(can_pass(&table, &rule, false));
}

#[test]
fn two_keys_are_two_others_than_the_proposer() {
    let rule = Rule {
        quorum: 0,
        two_keys: true,
        ..RULE
    };
    let mut table = seats(&[1; 3]);
    table[0].proposer = true;
    let cases: [(&[Verdict], Outcome); 3] = [
        (&[Approve, Approve], Outcome::Rejected),
        (&[Approve, Approve, Approve], Outcome::Approved),
        (&[Reject, Approve, Approve], Outcome::Approved),
    ];
    for (verdicts, expected) in cases {
        assert_eq!(
            decide(&table, &ballots(verdicts), &rule, false).outcome,
            expected,
            "{verdicts:?}"
        );
    }
}

#[test]
fn money_above_the_limit_needs_the_approval_of_a_person() {
    let mut table = seats(&[1; 4]);
    table.iter_mut().skip(1).for_each(|s| s.human = false);
    let agents = [
        cast(1, 1, Approve, true),
        cast(2, 2, Approve, true),
        cast(3, 3, Approve, true),
    ];
    assert_eq!(
        decide(&table, &agents, &RULE, false).outcome,
        Outcome::Approved
    );
    assert_eq!(
        decide(&table, &agents, &RULE, true).outcome,
        Outcome::Rejected
    );
    let open = tally(&table, &stand(&table, &agents));
    assert_eq!(settled(&open, &RULE, true), None, "a person is missing");
    let conditional = [&agents[..], &[cast(4, 0, Conditional, true)]].concat();
    assert_eq!(
        decide(&table, &conditional, &RULE, true).outcome,
        Outcome::Rejected,
        "conditions are no approval"
    );
    let human = [&agents[..], &[cast(4, 0, Approve, true)]].concat();
    assert_eq!(
        decide(&table, &human, &RULE, true).outcome,
        Outcome::Approved
    );
}

#[test]
fn money_is_counted_with_what_passed_and_an_unknown_price_is_above() {
    let rule = |human_above| Rule {
        human_above,
        ..RULE
    };
    let table = [
        (None, Money::Unknown, 0, false),
        (Some(100), Money::None, 1_000, false),
        (Some(100), Money::Known(60), 40, false),
        (Some(100), Money::Known(60), 41, true),
        (Some(u64::MAX), Money::Unknown, 0, true),
        (Some(u64::MAX - 1), Money::Known(u64::MAX), u64::MAX, true),
    ];
    for (limit, money, passed, expected) in table {
        assert_eq!(
            human_required(&rule(limit), money, passed),
            expected,
            "{limit:?} {money:?} {passed}"
        );
    }
}

#[test]
fn a_ballot_is_changed_withdrawn_and_retracted() {
    let table = seats(&[1; 2]);
    let withdraw = |n| entry(n, Act::Withdraw { seat: name("s0") });
    let retract = |n, of| entry(n, Act::Retract { of });
    let first = cast(1, 0, Approve, false);
    let second = cast(2, 0, Reject, false);
    let verdict = |entries: &[Entry]| stand(&table, entries)[0].ballot.map(|(_, b)| b.verdict);
    let cases = [
        (vec![first.clone(), second.clone()], Some(Reject)),
        (
            vec![first.clone(), second.clone(), retract(3, 2)],
            Some(Approve),
        ),
        (
            vec![first.clone(), second.clone(), retract(3, 1)],
            Some(Reject),
        ),
        (
            vec![first.clone(), second.clone(), retract(3, 1), retract(4, 2)],
            None,
        ),
        (vec![first.clone(), second.clone(), withdraw(3)], None),
        (
            vec![first.clone(), withdraw(2), cast(3, 0, Abstain, false)],
            Some(Abstain),
        ),
        (
            vec![
                first,
                withdraw(2),
                cast(3, 0, Abstain, false),
                retract(4, 3),
            ],
            None,
        ),
        (vec![cast(1, 7, Approve, false)], None),
    ];
    for (entries, expected) in cases {
        assert_eq!(verdict(&entries), expected, "{entries:?}");
    }
}

#[test]
fn a_suspended_seat_keeps_weight_and_ballot() {
    let table = seats(&[1; 4]);
    let suspend = |n| entry(n, Act::Suspend { seat: name("s0") });
    let restore = |n| entry(n, Act::Restore { seat: name("s0") });
    let entries = [cast(1, 0, Approve, false), suspend(2)];
    let stood = stand(&table, &entries);
    assert!(stood[0].suspended && stood[0].ballot.is_some());
    assert_eq!(tally(&table, &stood).total, 4);
    assert!(!stand(&table, &[suspend(1), restore(2)])[0].suspended);
}

#[test]
fn an_uncast_veto_keeps_an_approval_open() {
    let mut table = seats(&[1; 4]);
    let all = ballots(&[Approve, Approve, Approve]);
    assert_eq!(early(&table, &all, &RULE), Some(Outcome::Approved));
    table[3].may_veto = true;
    assert_eq!(early(&table, &all, &RULE), None);
}

#[test]
fn seats_are_found_by_holder_and_name() {
    let mut table = seats(&[1; 3]);
    table[0].holder = Holder::Agent(name("code-1"));
    table[1].holder = Holder::Agent(name("code-2"));
    table[2].holder = Holder::Agent(name("code-2"));
    let agent = |n: &str| [Holder::Agent(name(n))];
    assert_eq!(
        eligible(&table, &agent("code-1"), None),
        Eligibility::Seat(0)
    );
    assert_eq!(
        eligible(&table, &agent("code-2"), None),
        Eligibility::Several(vec![1, 2])
    );
    assert_eq!(
        eligible(&table, &agent("code-2"), Some(&name("s2"))),
        Eligibility::Seat(2)
    );
    assert_eq!(
        eligible(&table, &agent("code-1"), Some(&name("s2"))),
        Eligibility::None
    );
}

#[test]
fn effects_belong_to_their_kind_and_a_default_runs_none_that_moves_money_or_authority() {
    let effect = |line: &str| line.parse::<Effect>().unwrap();
    let pause = Effect(Box::new(Command::Pause(Pause { reason: None })));
    let resume = Effect(Box::new(Command::Resume(Resume {})));
    assert_eq!(kind_of(Some(&pause)), ProposalKind::Pause);
    assert!(may_run(ProposalKind::Pause, &resume));
    assert!(!may_run(ProposalKind::BudgetLift, &pause));
    assert!(!may_run(ProposalKind::FreeText, &pause));
    let lines = [
        (
            "budget set --provider claude --limit 1 --unit tokens",
            ProposalKind::BudgetLift,
            false,
        ),
        (
            "budget reset --provider claude --reset-at +1h",
            ProposalKind::WindowChange,
            false,
        ),
        (
            "member grant @kim:test operator",
            ProposalKind::RoleChange,
            false,
        ),
        ("board seat suspend cto", ProposalKind::RoleChange, false),
        ("mission new \"Ship it\"", ProposalKind::Goal, true),
        ("task priority t1 90", ProposalKind::Brief, true),
        ("pause", ProposalKind::Pause, false),
    ];
    for (line, kind, by_default) in lines {
        let effect = effect(line);
        assert_eq!(kind_of(Some(&effect)), kind, "{line}");
        assert!(may_run(kind, &effect), "{line}");
        assert_eq!(runs_by_default(&effect), by_default, "{line}");
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Voting from 0 to 1,000 s.
fn content() -> Content {
    Content {
        tenant: "main".into(),
        id: uuid::Uuid::nil(),
        title: "Stop \"it\"".into(),
        text: None,
        kind: ProposalKind::Pause,
        proposer: "@kim:test".into(),
        room: "board".into(),
        effect: None,
        seats: seats(&[2]),
        opened_at: at(0),
        closes_at: at(1_000),
        rule: RULE,
        supersedes: None,
    }
}

#[test]
fn a_late_quorum_extends_once_by_a_tenth() {
    let content = content();
    let table = [(899, None), (900, Some(at(1_100))), (999, Some(at(1_100)))];
    for (reached, expected) in table {
        assert_eq!(
            late_quorum_end(&content, &[], at(reached)),
            expected,
            "{reached}"
        );
    }
    let extended = entry(
        3,
        Act::Extend {
            to: at(1_100),
            why: Extension::LateQuorum,
        },
    );
    let entries = [extended];
    assert_eq!(late_quorum_end(&content, &entries, at(1_099)), None);
    assert_eq!(
        end_of(&content, &entries),
        (at(1_100), Some(Extension::LateQuorum))
    );
    assert_eq!(remind_at(content.opened_at, content.closes_at), at(800));
}

#[test]
fn a_vote_ends_at_its_instant_when_its_room_was_read_up_to_it() {
    assert!(in_time(at(999), at(1_000)) && !in_time(at(1_000), at(1_000)));
    let table = [
        (999, None, false),
        (1_000, None, true),
        (1_000, Some(None), false),
        (1_000, Some(Some(at(999))), false),
        (1_000, Some(Some(at(1_000))), true),
    ];
    for (now, read, expected) in table {
        assert_eq!(
            may_end(at(1_000), at(now), read),
            expected,
            "{now} {read:?}"
        );
    }
}
