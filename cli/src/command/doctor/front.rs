//! The homeserver, the bot as it speaks of itself, and the rooms.

use std::time::Duration;

use fleet_homeserver::health;
use fleet_protocol::event::ROOM;
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::hop::Hop;
use super::person::Person;
use super::typed::is_joined;
use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::settings::{SecretText, Settings};

/// Rooms of an account that are looked through for the fleet's.
const ROOMS: usize = 200;

pub(super) async fn homeserver(settings: &Settings) -> Hop {
    let Some(url) = &settings.homeserver.url else {
        return Hop::bad(
            "homeserver",
            Exit::Configuration,
            "homeserver.url is not set",
            "set it, or name the data folder with --data",
        );
    };
    match health::probe(url).await {
        Ok(found) => {
            let version = found.version.unwrap_or_default();
            let what = format!("{:?} {version} at {url}", found.kind);
            Hop::good("homeserver", what).took(found.latency)
        }
        Err(error) => Hop::bad(
            "homeserver",
            Exit::Homeserver,
            chain(&error),
            "start it, or correct homeserver.url",
        ),
    }
}

/// What the bot says of itself.
pub(super) struct Bot {
    /// Its process and its lease.
    pub(super) bot: Hop,
    /// Its Matrix account.
    pub(super) account: Hop,
    /// Its rooms.
    pub(super) rooms: Hop,
    /// How often the homeserver told it to wait.
    pub(super) waits: Option<u64>,
}

impl Bot {
    fn all(hop: impl Fn(&'static str) -> Hop) -> Self {
        Self {
            bot: hop("bot"),
            account: hop("account"),
            rooms: hop("rooms"),
            waits: None,
        }
    }
}

pub(super) async fn bot(settings: &Settings) -> Bot {
    let Some(listen) = settings.bot.listen else {
        let remedy = "set bot.listen to where `fleet bot` serves /ready";
        return Bot::all(|hop| Hop::unknown(hop, "not asked: bot.listen is not set", remedy));
    };
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build();
    let http = match http {
        Ok(http) => http,
        Err(error) => {
            let remedy = "check the TLS roots of this machine";
            return Bot::all(|hop| Hop::unknown(hop, chain(&error), remedy));
        }
    };
    let started = Instant::now();
    let word = match http.get(format!("http://{listen}/ready")).send().await {
        Ok(answer) => answer.json::<Value>().await.unwrap_or_default(),
        Err(error) => {
            let error = chain(&error);
            let remedy = "start `fleet bot`; its log says why it ended";
            let mut bot =
                Bot::all(|hop| Hop::unknown(hop, "the bot, which knows, does not answer", remedy));
            bot.bot = Hop::bad("bot", Exit::Bot, error, remedy);
            return bot;
        }
    };
    let mut told = judge(&word);
    told.bot = told.bot.took(started.elapsed());
    let token = SecretText::of(
        "bot.metrics_token",
        settings.bot.metrics_token.as_ref(),
        settings.bot.metrics_token_file.as_deref(),
    );
    // Without it the bot's own count stays unknown, which the hop of the limits tells.
    if let Ok(Some(token)) = token
        && let metrics = http.get(format!("http://{listen}/metrics"))
        && let Ok(answer) = metrics.bearer_auth(token.expose()).send().await
        && answer.status().is_success()
    {
        told.waits = waits(&answer.text().await.unwrap_or_default());
    }
    told
}

/// What the parts of `/ready` mean.
fn judge(word: &Value) -> Bot {
    let is = |part: &str| word[part].as_bool();
    let hop = |hop, part: &str, exit, good: &str, bad: &str, remedy: &str| match is(part) {
        Some(true) => Hop::good(hop, good),
        Some(false) => Hop::bad(hop, exit, bad, remedy),
        None => Hop::unknown(
            hop,
            "what answers there is no bot of this version",
            "correct bot.listen",
        ),
    };
    Bot {
        bot: hop(
            "bot",
            "lease",
            Exit::Bot,
            "runs and acts for its account",
            "runs, but another bot acts for its account",
            "stop the other one, or wait until its lease ends",
        ),
        account: hop(
            "account",
            "sync",
            Exit::Rooms,
            "the bot is logged in and hears its rooms",
            "the bot hears nothing from the homeserver",
            "its log says why: is its password right, is its device signed out?",
        ),
        rooms: hop(
            "rooms",
            "rooms",
            Exit::Rooms,
            "the bot has found or made every room of the plan",
            "not every room is as planned",
            "its log names the room and what keeps it from mending it",
        ),
        waits: None,
    }
}

/// The count of answers 429 in the bot's metrics.
fn waits(metrics: &str) -> Option<u64> {
    let value = |line: &str| {
        line.strip_prefix("fleet_bot_rate_limited_total ")?
            .parse()
            .ok()
    };
    metrics.lines().find_map(value)
}

/// The fleet's rooms as a member sees them. Not to be in one is no fault of the room.
pub(super) async fn seen(person: &Person, tenant: &str, bot: &str) -> Result<Hop, CliError> {
    let joined = person.call(Method::GET, &["joined_rooms"], None).await?;
    let joined = joined.body["joined_rooms"].as_array().cloned();
    let mut found = Vec::new();
    let mut without = Vec::new();
    let ids = joined.unwrap_or_default();
    for room in ids.iter().filter_map(Value::as_str).take(ROOMS) {
        let path = ["rooms", room, "state", ROOM, ""];
        let state = person.call(Method::GET, &path, None).await?.body;
        if state["tenant"] != tenant {
            continue;
        }
        let key = state["room"].as_str().unwrap_or(room).to_owned();
        if is_joined(person, room, bot).await? {
            found.push(key);
        } else {
            without.push(key);
        }
    }
    Ok(if !without.is_empty() {
        let remedy = format!("invite {bot} again; it joins and mends the room");
        let without = format!("the bot is not in {}", without.join(", "));
        Hop::bad("rooms", Exit::Rooms, without, remedy)
    } else if found.is_empty() {
        let found = format!(
            "{} has accepted no invitation of the fleet yet",
            person.user_id
        );
        Hop::good("rooms", found)
    } else {
        Hop::good("rooms", format!("the bot is in {}", found.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::hop::State;
    use super::*;

    #[test]
    fn each_part_of_the_bots_word_is_a_hop() {
        let bot = judge(&json!({ "ready": false, "lease": true, "sync": false, "rooms": true }));
        let states = [bot.bot.state, bot.account.state, bot.rooms.state];
        assert_eq!(states, [State::Ok, State::Broken, State::Ok]);
        let other = judge(&json!("something else"));
        assert_eq!(other.bot.state, State::Unknown);
    }

    #[test]
    fn the_bots_waits_are_counted() {
        let text = "# TYPE fleet_bot_rate_limited_total counter\nfleet_bot_rate_limited_total 7\n";
        assert_eq!(waits(text), Some(7));
        assert_eq!(waits("nothing of ours 7"), None);
    }
}
