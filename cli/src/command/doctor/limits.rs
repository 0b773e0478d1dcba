//! The homeserver's rate limits, as far as it shows them.
//!
//! No server tells its limits to a user. A burst by a person's account meets them; what the bot has
//! met, it counts; and whether the bot is exempted, an administrator's account may ask Synapse.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::hop::Hop;
use super::person::Person;
use crate::error::CliError;
use crate::exit::Exit;
use crate::system;

const HOP: &str = "limits";
/// Messages of a burst: two more than the burst that Synapse allows unless told otherwise.
const BURST: u32 = 12;

/// What a burst of messages met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Burst {
    /// All were taken.
    Taken,
    /// One was not.
    Limited {
        /// How many were taken before.
        after: u32,
        /// How long to wait, in milliseconds, if the server told.
        wait_ms: Option<u64>,
    },
}

/// Sends messages that say nothing and ring nowhere, as fast as they are taken.
pub(super) async fn burst(person: &Person, room: &str) -> Result<Burst, CliError> {
    for after in 0..BURST {
        let transaction = system::id().to_string();
        let path = [
            "rooms",
            room,
            "send",
            "dev.mosaicstack.fleet.probe",
            &transaction,
        ];
        let sent = person
            .call(Method::PUT, &path, Some(&json!({ "n": after })))
            .await?;
        if sent.status == StatusCode::TOO_MANY_REQUESTS {
            let wait_ms = sent.body["retry_after_ms"].as_u64();
            return Ok(Burst::Limited { after, wait_ms });
        }
    }
    Ok(Burst::Taken)
}

/// What is known of the limits that hold for the bot.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What a burst of a person's account met; `None` without an account at hand.
    pub(super) burst: Option<Burst>,
    /// How often the bot was told to wait since its start; `None` when it does not say.
    pub(super) bot_waits: Option<u64>,
    /// Whether the bot is exempted; `None` when nobody at hand may ask.
    pub(super) exempt: Option<bool>,
}

/// Judges what is known; `bot` is its Matrix account.
pub(super) fn judge(known: &Known, bot: &str) -> Hop {
    let remedy = format!(
        "Synapse: as an administrator, POST /_synapse/admin/v1/users/{bot}/override_ratelimit with \
         {{\"messages_per_second\": 0, \"burst_count\": 0}}, or raise rc_message in homeserver.yaml"
    );
    if known.exempt == Some(true) {
        return Hop::good(HOP, format!("the homeserver exempts {bot} from its limits"));
    }
    if let Some(waits) = known.bot_waits.filter(|n| *n > 0) {
        let found =
            format!("the homeserver has told the bot to wait {waits} times since its start");
        return Hop::bad(HOP, Exit::Homeserver, found, remedy);
    }
    match known.burst {
        Some(Burst::Taken) => Hop::good(HOP, format!("{BURST} messages at once were taken")),
        Some(Burst::Limited { after, wait_ms }) => {
            let wait = wait_ms.map_or_else(String::new, |ms| format!(" for {ms} ms"));
            let found = format!("after {after} messages an account is told to wait{wait}");
            if known.exempt == Some(false) {
                return Hop::bad(
                    HOP,
                    Exit::Homeserver,
                    format!("{found}; so is {bot}"),
                    remedy,
                );
            }
            Hop::unknown(
                HOP,
                format!("{found}; whether {bot} is exempted, only an administrator may ask"),
                remedy,
            )
        }
        None => Hop::unknown(
            HOP,
            "nobody is at hand to meet them",
            "name an account: operator.password_file, or --access-token-file",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;

    use wiremock::matchers::{header, method, path, path_regex};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::super::hop::State;
    use super::*;
    use crate::settings::Settings;

    /// Somebody whose access token is in a file.
    async fn person(server: &MockServer) -> Person {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let mut options = std::fs::OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(&file);
        std::io::Write::write_all(&mut made.unwrap(), b"syt_secret\n").unwrap();
        Mock::given(path("/_matrix/client/v3/account/whoami"))
            .and(header("authorization", "Bearer syt_secret"))
            .respond_with(answer(200, json!({ "user_id": "@ann:x" })))
            .mount(server)
            .await;
        let url = server.uri().parse().unwrap();
        Person::at_hand(&Settings::default(), &url, Some(&file))
            .await
            .unwrap()
            .unwrap()
    }

    fn answer(status: u16, body: serde_json::Value) -> ResponseTemplate {
        ResponseTemplate::new(status).set_body_json(body)
    }

    #[tokio::test]
    async fn a_burst_ends_at_the_first_message_that_is_not_taken() {
        let server = MockServer::start().await;
        let person = person(&server).await;
        assert_eq!(person.user_id, "@ann:x");
        let sends = "^/_matrix/client/v3/rooms/!r:x/send/dev.mosaicstack.fleet.probe/";
        let limited = json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 4_980 });
        Mock::given(method("PUT"))
            .and(path_regex(sends))
            .respond_with(answer(200, json!({ "event_id": "$e" })))
            .up_to_n_times(10)
            .mount(&server)
            .await;
        Mock::given(method("PUT"))
            .and(path_regex(sends))
            .respond_with(answer(429, limited))
            .expect(1)
            .mount(&server)
            .await;
        let met = burst(&person, "!r:x").await.unwrap();
        let expected = Burst::Limited {
            after: 10,
            wait_ms: Some(4_980),
        };
        assert_eq!(met, expected);
    }

    #[tokio::test]
    async fn only_an_administrator_learns_whether_the_bot_is_exempted() {
        let asked = "/_synapse/admin/v1/users/@fleet:x/override_ratelimit";
        let table = [
            (answer(403, json!({ "errcode": "M_FORBIDDEN" })), None),
            (answer(200, json!({})), Some(false)),
            (
                answer(200, json!({ "messages_per_second": 0, "burst_count": 0 })),
                Some(true),
            ),
        ];
        for (told, expected) in table {
            let server = MockServer::start().await;
            let person = person(&server).await;
            Mock::given(path(asked))
                .respond_with(told)
                .mount(&server)
                .await;
            assert_eq!(person.is_exempt("@fleet:x").await.unwrap(), expected);
        }
    }

    #[test]
    fn a_limit_is_a_fault_only_where_it_holds_for_the_bot() {
        let limited = Some(Burst::Limited {
            after: 10,
            wait_ms: Some(4_980),
        });
        let taken = Some(Burst::Taken);
        let table = [
            (taken, Some(0), None, State::Ok, "12 messages"),
            (taken, Some(3), None, State::Broken, "3 times"),
            (limited, Some(0), Some(true), State::Ok, "exempts"),
            (limited, Some(0), Some(false), State::Broken, "4980 ms"),
            (limited, None, None, State::Unknown, "administrator"),
            (None, Some(0), None, State::Unknown, "nobody"),
            (None, Some(1), None, State::Broken, "1 times"),
        ];
        for (burst, bot_waits, exempt, state, part) in table {
            let hop = judge(
                &Known {
                    burst,
                    bot_waits,
                    exempt,
                },
                "@fleet:example.org",
            );
            assert_eq!(hop.state, state, "{hop:?}");
            assert!(hop.found.contains(part), "{hop:?}");
            if state == State::Broken {
                let remedy = hop.remedy.unwrap();
                assert!(
                    remedy.contains("@fleet:example.org/override_ratelimit"),
                    "{remedy}"
                );
            }
        }
    }
}
