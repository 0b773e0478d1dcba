//! Stand-in for the bridge until it exists.
pub(crate) mod inbound {
    use fleet_protocol::envelope::{Body, Envelope, Provenance};
    use fleet_protocol::problem::Code;
    use fleet_protocol::scalar::UserId;
    use fleet_protocol::{Problem, Timestamp};
    pub(crate) struct Incoming {
        pub(crate) room_id: String,
        pub(crate) event_id: String,
        pub(crate) sender: String,
        pub(crate) origin_ts: i64,
        pub(crate) event_type: String,
        pub(crate) content: serde_json::Value,
        pub(crate) state_key: Option<String>,
        pub(crate) redacts: Option<String>,
        pub(crate) joined: bool,
        pub(crate) power_level: i64,
        pub(crate) provenance: Provenance,
    }
    pub(crate) struct Limits {
        pub(crate) bot: UserId,
        pub(crate) now: Timestamp,
    }
    impl Limits {
        pub(crate) fn new(bot: UserId, now: Timestamp) -> Self {
            Self { bot, now }
        }
    }
    pub(crate) enum Reading {
        Submit(Box<Envelope>),
        Skip,
    }
    pub(crate) fn read(i: &Incoming, limits: &Limits) -> Reading {
        let line = i
            .content
            .get("body")
            .and_then(|b| b.as_str())
            .unwrap_or_default();
        let (Ok(sender), true) = (i.sender.parse::<UserId>(), line.starts_with('!')) else {
            return Reading::Skip;
        };
        if sender == limits.bot
            || i.event_type != "m.room.message"
            || i.state_key.is_some()
            || i.redacts.is_some()
        {
            return Reading::Skip;
        }
        let _ = (&i.room_id, limits.now);
        Reading::Submit(Box::new(Envelope {
            key: i.event_id.clone(),
            sender,
            joined: i.joined,
            power_level: i.power_level,
            origin_ts: Timestamp::from_millis(i.origin_ts),
            provenance: i.provenance,
            digest: "0".repeat(64),
            context: Default::default(),
            body: Body::Refused(Problem::new(Code::UnknownCommand, line)),
        }))
    }
}
pub(crate) mod outbound {
    use fleet_protocol::outbox::{OutboxRow, Post, Relation, Target};
    use serde_json::json;
    pub(crate) enum Outgoing {
        Send {
            event_type: String,
            content: serde_json::Value,
        },
        Redact {
            event_id: String,
            reason: Option<String>,
        },
        Pin {
            event_id: String,
            pinned: bool,
        },
    }
    pub(crate) fn render(row: &OutboxRow) -> Result<Outgoing, std::fmt::Error> {
        let target = match row.relation.as_ref().map(Relation::target) {
            Some(Target::Event(id)) => id.clone(),
            _ => String::new(),
        };
        Ok(match &row.post {
            Post::Redaction { reason } => Outgoing::Redact {
                event_id: target,
                reason: reason.clone(),
            },
            Post::Pin { pinned } => Outgoing::Pin {
                event_id: target,
                pinned: *pinned,
            },
            Post::Message(m) => Outgoing::Send {
                event_type: "m.room.message".into(),
                content: json!({ "body": m.document.plain(), "dev.mosaicstack.fleet": { "row": row.id.to_string() } }),
            },
            _ => return Err(std::fmt::Error),
        })
    }
}
