//! Stand-in for the bridge until it exists.
pub(crate) mod inbound {
    use fleet_protocol::Timestamp;
    use fleet_protocol::envelope::{Envelope, Provenance};
    use fleet_protocol::scalar::UserId;
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
    pub(crate) fn read(_: &Incoming, _: &Limits) -> Reading {
        Reading::Skip
    }
}
pub(crate) mod outbound {
    use fleet_protocol::outbox::OutboxRow;
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
        Ok(Outgoing::Pin {
            event_id: row.room_id.clone(),
            pinned: true,
        })
    }
}
