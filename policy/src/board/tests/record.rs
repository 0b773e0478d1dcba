//! Hashes, the chain, and what a verifier notices.

use fleet_protocol::record::{Decided, EffectState, EndedBy, Export, FORMAT, Linked, Statement};
use proptest::prelude::*;

use super::*;

#[test]
fn the_canonical_form_is_stable() {
    let expected = r#"{"closes_at":"1970-01-01T00:16:40Z","effect":null,"id":"00000000-0000-0000-0000-000000000000","kind":"pause","opened_at":"1970-01-01T00:00:00Z","proposer":"@kim:test","room":"board","rule":{"default":"rejected","human_above":null,"principals":1,"quorum":50,"threshold":"majority","two_keys":false},"seats":[{"holder":{"user":"@u0:test"},"human":true,"may_veto":false,"proposer":false,"title":"s0","weight":2}],"supersedes":null,"tenant":"main","text":null,"title":"Stop \"it\""}"#;
    assert_eq!(canonical_form(&content()).unwrap(), expected);
    let mut other = content();
    other.seats[0].weight = 3;
    assert_ne!(hash(&content()).unwrap(), hash(&other).unwrap());
}

fn stated(n: u64, index: usize, verdict: Verdict, reason: &str) -> Entry {
    let statement = Statement {
        reason: Some(reason.into()),
        concerns: vec!["cost".into()],
        ..Statement::default()
    };
    let mut entry = cast(n, index, verdict, true);
    if let Act::Cast(ballot) = &mut entry.act {
        ballot.statement_hash = Some(statement_hash(&statement).unwrap());
        ballot.statement = Some(statement);
    }
    entry
}

fn exported(entries: Vec<Entry>) -> Export {
    let proposal = Content {
        seats: seats(&[1, 1, 1]),
        ..content()
    };
    let mut head = hash(&proposal).unwrap();
    let hash = hex(&head);
    let entries = entries
        .into_iter()
        .map(|entry| {
            head = link(&head, &entry).unwrap();
            Linked {
                entry,
                hash: hex(&head),
            }
        })
        .collect();
    Export {
        format: FORMAT.into(),
        proposal,
        hash,
        entries,
        head: hex(&head),
    }
}

fn decided(outcome: Outcome) -> Act {
    Act::Decide(Decided {
        decision: uuid::Uuid::nil(),
        outcome,
        ended_by: EndedBy::Time,
        by_default: false,
        human_required: false,
        effect: EffectState::Done,
    })
}

fn whole() -> Export {
    exported(vec![
        stated(1, 0, Approve, "tested"),
        stated(2, 1, Reject, "too soon"),
        entry(3, Act::Retract { of: 2 }),
        cast(4, 1, Approve, false),
        entry(5, decided(Outcome::Approved)),
    ])
}

#[test]
fn a_record_verifies_against_the_head_that_the_room_shows() {
    let export = whole();
    let verified = verify(&export, Some(&export.head)).unwrap();
    assert_eq!(verified.entries, 5);
    assert_eq!(verified.decided.unwrap().outcome, Outcome::Approved);
    assert!(matches!(
        verify(&export, Some("00")),
        Err(Fault::Shown { .. })
    ));
}

#[test]
fn a_dropped_text_leaves_its_hash_and_a_changed_one_is_noticed() {
    let mut export = whole();
    if let Act::Cast(ballot) = &mut export.entries[1].entry.act {
        ballot.statement = None;
    }
    assert!(verify(&export, None).is_ok());
    if let Act::Cast(ballot) = &mut export.entries[0].entry.act {
        ballot.statement = Some(Statement::default());
    }
    assert_eq!(verify(&export, None), Err(Fault::Statement(1)));
}

#[test]
fn a_wrong_outcome_and_a_late_entry_are_noticed_though_the_chain_holds() {
    let wrong = exported(vec![
        cast(1, 0, Approve, false),
        cast(2, 1, Approve, false),
        entry(3, decided(Outcome::Rejected)),
    ]);
    assert!(matches!(verify(&wrong, None), Err(Fault::Outcome { .. })));
    let late = exported(vec![
        cast(1, 0, Approve, false),
        cast(2, 1, Approve, false),
        entry(3, decided(Outcome::Approved)),
        cast(4, 2, Reject, false),
    ]);
    assert_eq!(verify(&late, None), Err(Fault::AfterEnd(4)));
}

#[test]
fn an_entry_that_is_left_out_or_moved_is_noticed() {
    let mut export = whole();
    export.entries.remove(1);
    assert!(matches!(
        verify(&export, None),
        Err(Fault::Sequence { expected: 2, .. })
    ));
    let mut export = whole();
    export.entries.swap(0, 1);
    assert!(verify(&export, None).is_err());
    let mut export = whole();
    export.entries.pop();
    assert!(matches!(verify(&export, None), Err(Fault::Head { .. })));
}

proptest! {
    /// Any changed byte is noticed, unless it changes white space between values.
    #[test]
    fn any_changed_byte_is_noticed(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let export = whole();
        let mut bytes = serde_json::to_vec(&export).unwrap();
        let index = at.index(bytes.len());
        bytes[index] = to;
        if let Ok(read) = serde_json::from_slice::<Export>(&bytes)
            && read != export
        {
            prop_assert!(verify(&read, Some(&export.head)).is_err());
        }
    }
}
