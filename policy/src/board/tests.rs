use fleet_protocol::verbs::fleet::{Pause, Resume};

use proptest::prelude::*;

use super::*;

const RULE: Rule = Rule {
    quorum: 50,
    threshold: Threshold::Majority,
};

fn seats(weights: &[u16]) -> Vec<SeatWeight> {
    let seat = |w: &u16| SeatWeight {
        weight: *w,
        may_veto: false,
    };
    weights.iter().map(seat).collect()
}

fn ballots(verdicts: &[Verdict]) -> Vec<Version> {
    let version = |(seat, verdict): (usize, &Verdict)| Version {
        seat,
        sequence: seat as u64 + 1,
        verdict: *verdict,
        reasoned: true,
    };
    verdicts.iter().enumerate().map(version).collect()
}

fn decide(weights: &[u16], verdicts: &[Verdict]) -> Outcome {
    outcome(tally(&seats(weights), &ballots(verdicts)), &RULE)
}

use Verdict::{Abstain, Approve, Conditional, Reject, Veto};

#[test]
fn outcomes_of_four_seats() {
    let table: [(&[Verdict], Outcome); 9] = [
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
    ];
    for (verdicts, expected) in table {
        assert_eq!(decide(&[1, 1, 1, 1], verdicts), expected, "{verdicts:?}");
    }
}

#[test]
fn weights_decide() {
    assert_eq!(
        decide(&[3, 1, 1], &[Reject, Approve, Approve]),
        Outcome::Rejected
    );
    assert_eq!(decide(&[1, 2], &[Reject, Approve]), Outcome::Approved);
}

#[test]
fn a_veto_blocks_only_with_right_and_reason() {
    let mut table = seats(&[1, 1, 1, 1]);
    let mut cast = ballots(&[Veto, Approve, Approve, Approve]);
    assert_eq!(outcome(tally(&table, &cast), &RULE), Outcome::Approved);
    table[0].may_veto = true;
    assert_eq!(outcome(tally(&table, &cast), &RULE), Outcome::Rejected);
    cast[0].reasoned = false;
    assert_eq!(outcome(tally(&table, &cast), &RULE), Outcome::Approved);
}

#[test]
fn two_of_three_passes_at_the_share() {
    let rule = Rule {
        quorum: 0,
        threshold: Threshold::AtLeast { of: 2, out_of: 3 },
    };
    let cast = ballots(&[Approve, Approve, Reject]);
    assert_eq!(
        outcome(tally(&seats(&[1, 1, 1]), &cast), &rule),
        Outcome::Approved
    );
}

#[test]
fn an_uncast_veto_keeps_an_approval_open() {
    let mut table = seats(&[1, 1, 1, 1]);
    let cast = ballots(&[Approve, Approve, Approve]);
    assert_eq!(
        settled(tally(&table, &cast), &RULE),
        Some(Outcome::Approved)
    );
    table[3].may_veto = true;
    assert_eq!(settled(tally(&table, &cast), &RULE), None);
}

#[test]
fn a_seat_that_changes_its_mind_leaves_the_vote_to_the_other() {
    let rule = Rule {
        quorum: 100,
        ..RULE
    };
    let table = seats(&[1, 1]);
    let version = |sequence, verdict| Version {
        seat: 0,
        sequence,
        verdict,
        reasoned: false,
    };
    let cast = [version(1, Approve), version(2, Abstain)];
    assert_eq!(settled(tally(&table, &cast), &rule), None);
    let other = Version {
        seat: 1,
        ..version(3, Approve)
    };
    let all = tally(&table, &[cast[0], cast[1], other]);
    assert_eq!(settled(all, &rule), Some(Outcome::Approved));
}

#[test]
fn seats_are_found_by_holder_and_name() {
    let seats: Vec<Seat> = ["ceo=code-1", "cto=code-2", "cfo=code-2"]
        .iter()
        .map(|s| s.parse().unwrap())
        .collect();
    let agent = |n: &str| [Holder::Agent(n.parse().unwrap())];
    let named: Name = "cfo".parse().unwrap();
    assert_eq!(
        eligible(&seats, &agent("code-1"), None),
        Eligibility::Seat(0)
    );
    assert_eq!(
        eligible(&seats, &agent("code-2"), None),
        Eligibility::Several(vec![1, 2])
    );
    assert_eq!(
        eligible(&seats, &agent("code-2"), Some(&named)),
        Eligibility::Seat(2)
    );
    assert_eq!(
        eligible(&seats, &agent("code-1"), Some(&named)),
        Eligibility::None
    );
}

#[test]
fn effects_belong_to_their_kind() {
    let pause = Effect(Box::new(Command::Pause(Pause { reason: None })));
    let resume = Effect(Box::new(Command::Resume(Resume {})));
    assert_eq!(kind_of(Some(&pause)), ProposalKind::Pause);
    assert!(may_run(ProposalKind::Pause, &resume));
    assert!(!may_run(ProposalKind::BudgetLift, &pause));
    assert!(!may_run(ProposalKind::FreeText, &pause));
}

fn content() -> Content {
    Content {
        tenant: "main".into(),
        id: uuid::Uuid::nil(),
        title: "Stop \"it\"".into(),
        text: None,
        kind: ProposalKind::Pause,
        proposer: "@kim:example.org".into(),
        room: "board".into(),
        effect: None,
        seats: vec!["ceo=code-1*2!veto".parse().unwrap()],
        closes_at: Timestamp::from_millis(0),
        default: "rejected",
        rule: RULE,
    }
}

#[test]
fn the_canonical_form_is_stable() {
    let expected = r#"{"closes_at":"1970-01-01T00:00:00Z","default":"rejected","effect":null,"id":"00000000-0000-0000-0000-000000000000","kind":"pause","proposer":"@kim:example.org","room":"board","rule":{"quorum":"50","threshold":"majority"},"seats":[{"holder":{"agent":"code-1"},"may_veto":true,"title":"ceo","weight":2}],"tenant":"main","text":null,"title":"Stop \"it\""}"#;
    assert_eq!(canonical_form(&content()).unwrap(), expected);
    let mut other = content();
    other.seats[0].weight = 3;
    assert_ne!(hash(&content()).unwrap(), hash(&other).unwrap());
}

#[test]
fn the_chain_binds_every_field() {
    let base = Link {
        proposal: b"p",
        previous: None,
        sequence: 1,
        seat: "ceo",
        principal: "@kim:example.org",
        verdict: Approve,
        reason: None,
        confidence: None,
        cast_at: Timestamp::from_millis(5),
    };
    let others = [
        Link {
            previous: Some(b""),
            ..base
        },
        Link {
            sequence: 2,
            ..base
        },
        Link {
            seat: "ceo@",
            principal: "kim:example.org",
            ..base
        },
        Link {
            verdict: Reject,
            ..base
        },
        Link {
            reason: Some(""),
            ..base
        },
        Link {
            confidence: Some(0),
            ..base
        },
        Link {
            cast_at: Timestamp::from_millis(6),
            ..base
        },
    ];
    for other in others {
        assert_ne!(link(&base), link(&other), "{other:?}");
    }
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop::sample::select(Verdict::ALL.to_vec())
}

fn table() -> impl Strategy<Value = Vec<SeatWeight>> {
    let seat =
        (1..20_u16, any::<bool>()).prop_map(|(weight, may_veto)| SeatWeight { weight, may_veto });
    prop::collection::vec(seat, 1..7)
}

fn rule() -> impl Strategy<Value = Rule> {
    let threshold = prop_oneof![
        Just(Threshold::Majority),
        (1..4_u32).prop_map(|of| Threshold::AtLeast { of, out_of: 4 }),
    ];
    (0..=100_u8, threshold).prop_map(|(quorum, threshold)| Rule { quorum, threshold })
}

/// Ballots of a sequence: which seat, what, whether reasoned.
fn history() -> impl Strategy<Value = Vec<Version>> {
    prop::collection::vec((0..7_usize, verdict(), any::<bool>()), 0..20).prop_map(|cast| {
        let version = |(i, (seat, verdict, reasoned)): (usize, (usize, Verdict, bool))| Version {
            seat,
            sequence: i as u64 + 1,
            verdict,
            reasoned,
        };
        cast.into_iter().enumerate().map(version).collect()
    })
}

/// Every way in which the seats that have not voted may vote, or stay silent.
fn completions(seats: &[SeatWeight], cast: &[Version]) -> Vec<Vec<Version>> {
    let open = (0..seats.len()).filter(|i| !cast.iter().any(|v| v.seat == *i));
    open.fold(vec![cast.to_vec()], |all, seat| {
        let mut longer = all.clone();
        for verdict in Verdict::ALL {
            let ballot = Version {
                seat,
                sequence: 1_000,
                verdict: *verdict,
                reasoned: true,
            };
            longer.extend(
                all.iter()
                    .map(|versions| [versions.as_slice(), &[ballot]].concat()),
            );
        }
        longer
    })
}

proptest! {
    /// Both ways: what is settled cannot come out otherwise, and what is open can.
    #[test]
    fn a_vote_is_settled_exactly_when_no_completion_can_change_it(
        seats in prop::collection::vec((1..5_u16, any::<bool>()).prop_map(|(weight, may_veto)| SeatWeight { weight, may_veto }), 1..5),
        rule in rule(), early in history(),
    ) {
        let now = tally(&seats, &early);
        let ends: std::collections::BTreeSet<Outcome> =
            completions(&seats, &early).iter().map(|all| outcome(tally(&seats, all), &rule)).collect();
        match settled(now, &rule) {
            Some(decided) => prop_assert_eq!(ends, std::collections::BTreeSet::from([decided])),
            None => prop_assert!(ends.len() > 1, "only {:?} can come of it", ends),
        }
    }

    #[test]
    fn order_and_repetition_do_not_matter(seats in table(), versions in history(), seed in any::<prop::sample::Index>()) {
        let expected = tally(&seats, &versions);
        let mut other = versions.clone();
        other.reverse();
        if !other.is_empty() {
            let middle = seed.index(other.len());
            other.rotate_left(middle);
            other.push(other[middle]);
        }
        prop_assert_eq!(tally(&seats, &other), expected);
    }

    #[test]
    fn no_ballot_counts_twice(seats in table(), versions in history()) {
        let tally = tally(&seats, &versions);
        let voted = |i: &usize| versions.iter().any(|v| v.seat == *i);
        let expected: u32 = (0..seats.len()).filter(voted).map(|i| u32::from(seats[i].weight)).sum();
        prop_assert_eq!(tally.cast(), expected);
        prop_assert!(tally.cast() <= tally.total);
    }

    #[test]
    fn an_early_close_never_contradicts_the_end(seats in table(), rule in rule(), early in history(), rest in history()) {
        if let Some(decided) = settled(tally(&seats, &early), &rule) {
            prop_assert_eq!(outcome(tally(&seats, &early), &rule), decided);
            // Cast ballots are taken as final: only seats that have not voted may still vote.
            let mut all = early.clone();
            all.extend(rest.into_iter().filter(|v| !early.iter().any(|e| e.seat == v.seat)).map(|v| Version { sequence: v.sequence + 100, ..v }));
            prop_assert_eq!(outcome(tally(&seats, &all), &rule), decided);
        }
    }

    #[test]
    fn a_full_house_is_settled(seats in table(), rule in rule(), verdicts in prop::collection::vec(verdict(), 7)) {
        let cast = tally(&seats, &ballots(&verdicts[..seats.len()]));
        prop_assert_eq!(settled(cast, &rule), Some(outcome(cast, &rule)));
    }
}
