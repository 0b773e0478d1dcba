use fleet_protocol::language::verbs;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::member::GrantRole::{self, Agent, Member, Operator, Viewer};
use proptest::prelude::*;

use super::{Ask, Need, decide, need};

fn in_room<'a>(verb: &'a str, roles: &'a [GrantRole], power: i64) -> Ask<'a> {
    let writes = verbs()
        .find(|v| v.name == verb)
        .expect("a verb of the language")
        .writes;
    Ask {
        verb,
        writes,
        roles,
        joined: Some(true),
        power_level: Some(power),
        may_command: &[],
        is_agent_account: false,
        via_chat: true,
    }
}

fn code(ask: &Ask<'_>) -> Option<Code> {
    decide(ask).err().map(|p| p.code)
}

#[test]
fn every_verb_of_the_language_has_a_need() {
    for verb in verbs() {
        let found = need(verb.name, verb.writes);
        assert!(found.is_some(), "{} is missing in the table", verb.name);
        if verb.writes {
            assert!(
                !matches!(found, Some(Need::Open | Need::Viewer)),
                "{} writes and needs more than to be present",
                verb.name
            );
        }
    }
}

#[test]
fn a_write_that_is_not_listed_is_refused_even_for_an_operator() {
    let ask = Ask {
        verb: "register.drop",
        writes: true,
        roles: &[Operator],
        joined: None,
        power_level: None,
        may_command: &[],
        is_agent_account: false,
        via_chat: false,
    };
    assert_eq!(code(&ask), Some(Code::WrongRole));
}

#[test]
fn the_table_of_roles_and_power() {
    let table: &[(&str, &[GrantRole], i64, Option<Code>)] = &[
        ("help", &[], 0, None),
        ("whoami", &[], -1, None),
        ("status", &[], 0, Some(Code::NoGrant)),
        ("status", &[Viewer], 0, None),
        ("task.list", &[Agent], 0, None),
        ("task.add", &[Viewer], 0, Some(Code::WrongRole)),
        ("task.add", &[Agent], 100, Some(Code::WrongRole)),
        ("task.add", &[Member], 0, None),
        ("task.claim", &[Viewer], 0, Some(Code::WrongRole)),
        ("task.claim", &[Agent], 0, None),
        ("task.claim", &[Member], 0, None),
        ("agent.register", &[Agent], 0, None),
        ("agent.retire", &[Member], 100, Some(Code::WrongRole)),
        ("board.vote", &[Agent], 0, None),
        ("board.propose", &[Agent], 0, None),
        ("board.propose", &[Viewer], 0, Some(Code::WrongRole)),
        ("board.amend", &[Agent], 0, None),
        ("board.seat", &[Member], 100, Some(Code::WrongRole)),
        ("board.close", &[Operator], 50, None),
        ("pause", &[Operator], 49, Some(Code::PowerTooLow)),
        ("pause", &[Viewer, Operator], 50, None),
        ("pause", &[Member], 100, Some(Code::WrongRole)),
        ("verbosity", &[Member], 0, Some(Code::PowerTooLow)),
        ("verbosity", &[Member], 50, None),
        ("budget.set", &[Operator], 100, None),
        ("budget.status", &[Viewer], 0, None),
        ("member.add", &[], 100, Some(Code::NoGrant)),
    ];
    for (verb, roles, power, expected) in table {
        assert_eq!(
            code(&in_room(verb, roles, *power)),
            *expected,
            "{verb} as {roles:?} with power {power}"
        );
    }
}

#[test]
fn who_left_the_room_may_not_even_ask_for_help() {
    let mut ask = in_room("help", &[Operator], 100);
    ask.joined = Some(false);
    assert_eq!(code(&ask), Some(Code::NotInRoom));
}

#[test]
fn an_agents_chat_line_never_commands_and_its_event_does() {
    let mut ask = in_room("task.claim", &[Agent], 0);
    ask.is_agent_account = true;
    assert_eq!(code(&ask), Some(Code::AgentChat));
    ask.via_chat = false;
    assert_eq!(code(&ask), None);
}

#[test]
fn a_refusal_says_who_can_change_it() {
    let refused = decide(&in_room("pause", &[Member], 100)).expect_err("a member must not pause");
    assert_eq!(
        refused.remedy.as_deref(),
        Some("an operator can type: !member grant @you:server operator")
    );
}

fn roles() -> impl Strategy<Value = Vec<GrantRole>> {
    prop::collection::vec(prop::sample::select(GrantRole::ALL), 0..4)
}

proptest! {
    #[test]
    fn another_role_and_more_power_never_take_a_right_away(
        index in 0..verbs().count(),
        roles in roles(),
        more in prop::sample::select(GrantRole::ALL),
        power in -10_i64..110,
        raise in 0_i64..100,
    ) {
        let verb = verbs().nth(index).expect("in range").name;
        if decide(&in_room(verb, &roles, power)).is_ok() {
            let mut with = roles;
            with.push(more);
            prop_assert!(decide(&in_room(verb, &with, power + raise)).is_ok());
        }
    }

    #[test]
    fn outside_a_room_only_the_grant_decides(index in 0..verbs().count(), roles in roles()) {
        let verb = verbs().nth(index).expect("in range").name;
        let mut outside = in_room(verb, &roles, 0);
        outside.joined = None;
        outside.power_level = None;
        outside.via_chat = false;
        prop_assert_eq!(code(&outside), code(&in_room(verb, &roles, i64::MAX)));
    }
}

#[test]
fn a_room_of_a_role_takes_commands_from_whom_its_file_names() {
    let ask = |verb, roles, may_command| Ask {
        may_command,
        ..in_room(verb, roles, 0)
    };
    let operators: &[GrantRole] = &[Operator];
    assert_eq!(
        code(&ask("task.add", &[Member], operators)),
        Some(Code::WrongRole)
    );
    assert_eq!(code(&ask("task.add", &[Member], &[Member])), None);
    assert_eq!(code(&ask("task.add", &[Operator], &[Agent])), None);
    assert_eq!(code(&ask("task.list", &[Viewer], operators)), None);
    assert_eq!(code(&ask("board.vote", &[Member], operators)), None);
    let outside = Ask {
        joined: None,
        power_level: None,
        ..ask("task.add", &[Member], operators)
    };
    assert_eq!(code(&outside), None);
}
