//! The power levels of a room: what they are, what they shall be, and what the bot can change of them.

use fleet_protocol::api::RoomPlan;
use serde_json::{Map, Value};

/// The power levels of a room, as the bot sees them.
pub(crate) struct Levels<'a> {
    content: &'a Value,
    users: Option<&'a Map<String, Value>>,
    creators: &'a [String],
    own: &'a str,
}

impl<'a> Levels<'a> {
    /// Reads the content of `m.room.power_levels`. `creators` are those who stand above it (room
    /// version 12 and later).
    pub(crate) fn of(content: &'a Value, creators: &'a [String], own: &'a str) -> Self {
        Self {
            content,
            users: content.get("users").and_then(Value::as_object),
            creators,
            own,
        }
    }

    /// Whether the bot may change a user's level or remove the user: only of those below itself
    /// (Matrix spec, "Authorization rules"; no creator is).
    pub(crate) fn may_change(&self, user: &str) -> bool {
        !self.is_creator(user)
            && (self.is_creator(self.own) || self.of_user(user) < self.of_user(self.own))
    }

    /// The content with the levels that the plan calls for; none if they are so already, or who has
    /// more is out of the bot's reach. Levels that people gave to others stay.
    pub(crate) fn mended(&self, plan: &RoomPlan) -> Option<Value> {
        let mut users = self.users.cloned().unwrap_or_default();
        for member in &plan.members {
            let user = member.user.as_str();
            let (now, wanted) = (self.of_user(user), member.power_level);
            // A level that the bot may not give is tried, so that people hear of it.
            let is_low = now < wanted && user != self.own && !self.is_creator(user);
            if is_low || (now > wanted && self.is_ours(user)) {
                users.insert(user.to_owned(), wanted.into());
            }
        }
        for user in plan.revoked.iter().map(|user| user.as_str()) {
            if self.is_ours(user) {
                users.remove(user);
            }
        }
        let mut content = self.content.as_object()?.clone();
        if Some(&users) == self.users || (users.is_empty() && self.users.is_none()) {
            return None;
        }
        content.insert("users".to_owned(), Value::Object(users));
        Some(Value::Object(content))
    }

    fn is_ours(&self, user: &str) -> bool {
        user != self.own && self.may_change(user)
    }

    fn is_creator(&self, user: &str) -> bool {
        self.creators.iter().any(|creator| creator == user)
    }

    fn of_user(&self, user: &str) -> i64 {
        let default = self.content.get("users_default").and_then(Value::as_i64);
        let named = self.users.and_then(|users| users.get(user));
        named.and_then(Value::as_i64).or(default).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use fleet_protocol::api::RoomMember;
    use serde_json::json;

    use super::*;

    const OWN: &str = "@fleet:example.org";

    fn plan(members: &[(&str, i64)], revoked: &[&str]) -> RoomPlan {
        RoomPlan {
            key: "lobby".parse().unwrap(),
            name: String::new(),
            topic: String::new(),
            alias: String::new(),
            room_id: None,
            mark: None,
            pinned: Vec::new(),
            members: members
                .iter()
                .map(|(user, power_level)| RoomMember {
                    user: user.parse().unwrap(),
                    power_level: *power_level,
                })
                .collect(),
            revoked: revoked.iter().map(|user| user.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn grants_raise_and_lower_and_what_people_gave_stays() {
        let now =
            json!({ "users": { OWN: 100, "@ann:x": 90, "@eve:x": 70, "@rob:x": 50 }, "ban": 50 });
        let plan = plan(&[("@ann:x", 50), ("@bob:x", 90)], &["@rob:x", "@not:x"]);
        assert_eq!(
            Levels::of(&now, &[], OWN).mended(&plan),
            Some(
                json!({ "users": { OWN: 100, "@ann:x": 50, "@bob:x": 90, "@eve:x": 70 }, "ban": 50 })
            )
        );
    }

    #[test]
    fn who_is_not_below_the_bot_is_left_alone_and_hinders_nobody_else() {
        let peer = [OWN.to_owned(), "@cee:x".to_owned()];
        // (levels, creators, revoked: is the user within reach?)
        let table = [
            (
                json!({ "users": { OWN: 100, "@cee:x": 100 } }),
                &[][..],
                false,
            ),
            (json!({ "users": { OWN: 100, "@cee:x": 99 } }), &[], true),
            (json!({ "users": { "@cee:x": 100 } }), &peer[..1], true),
            (json!({ "users": {} }), &peer, false),
            (json!({ "users_default": 100, "users": {} }), &[], false),
        ];
        for (now, creators, within) in table {
            let levels = Levels::of(&now, creators, OWN);
            assert_eq!(levels.may_change("@cee:x"), within, "{now} {creators:?}");
            let mended = levels.mended(&plan(&[], &["@cee:x"]));
            assert_eq!(
                mended.is_some(),
                within && now["users"] != json!({}),
                "{now}"
            );
        }
        let now = json!({ "users": { OWN: 100, "@cee:x": 100 } });
        let both = plan(&[("@cee:x", 90), ("@bob:x", 50)], &[]);
        assert_eq!(
            Levels::of(&now, &[], OWN).mended(&both),
            Some(json!({ "users": { OWN: 100, "@cee:x": 100, "@bob:x": 50 } }))
        );
    }

    #[test]
    fn what_is_right_is_not_set_again() {
        for now in [
            json!({ "users": { "@ann:x": 90 } }),
            json!({ "users_default": 90 }),
        ] {
            let levels = Levels::of(&now, &[], OWN);
            assert_eq!(
                levels.mended(&plan(&[("@ann:x", 90)], &["@rob:x"])),
                None,
                "{now}"
            );
        }
    }
}
