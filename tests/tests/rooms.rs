//! Rooms as they come about: by invitation, by upgrade, encrypted, and broken by somebody.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helper functions too"
)]

use std::time::Duration;

use fleet_agent::matrix::{Matrix, MatrixError, RoomEvent, text};
use fleet_homeserver::Secret;
use fleet_homeserver::accounts::Accounts;
use fleet_tests::world::{BOT, World, eventually};
use matrix_sdk::Client;
use matrix_sdk::config::SyncSettings;
use matrix_sdk::ruma::events::room::message::RoomMessageEventContent;
use matrix_sdk::ruma::{OwnedEventId, OwnedRoomId};
use reqwest::Method;
use serde_json::{Value, json};

/// Somebody with a login of their own, who can do in a room what any client can.
struct Person {
    matrix: Matrix,
    token: Secret,
    http: reqwest::Client,
    homeserver: url::Url,
}

impl Person {
    async fn log_in(world: &World, localpart: &str, password: &Secret) -> Self {
        let access = world.stack.homeserver();
        let session = Accounts::new(access.url.clone())
            .unwrap()
            .ensure_account(
                access.registration.as_ref().unwrap(),
                localpart,
                password,
                None,
                "test",
            )
            .await
            .unwrap();
        Self {
            matrix: Matrix::with_token(access.url.clone(), session.access_token.expose())
                .await
                .unwrap(),
            token: session.access_token,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            homeserver: access.url.clone(),
        }
    }

    /// The operator, on a second device.
    async fn operator(world: &World) -> Self {
        let password = world.stack.folder().secret("operator-password").unwrap();
        Self::log_in(world, &localpart(world, "operator"), &password).await
    }

    /// Somebody whom the fleet may not know.
    async fn other(world: &World, name: &str) -> Self {
        let password = Secret::new("correct horse battery staple");
        Self::log_in(world, &localpart(world, name), &password).await
    }

    async fn call(&self, method: Method, path: &[&str], body: &Value) -> Value {
        let mut url = self.homeserver.join("_matrix/client/v3/").unwrap();
        url.path_segments_mut().unwrap().pop_if_empty().extend(path);
        let answer = self
            .http
            .request(method, url)
            .bearer_auth(self.token.expose())
            .json(body)
            .send()
            .await
            .unwrap();
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path:?}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn create(&self, body: &Value) -> String {
        let made = self.call(Method::POST, &["createRoom"], body).await;
        made["room_id"].as_str().unwrap().to_owned()
    }

    async fn invite(&self, room: &str, user: &str) {
        let body = json!({ "user_id": user });
        self.call(Method::POST, &["rooms", room, "invite"], &body)
            .await;
    }

    async fn set(&self, room: &str, kind: &str, content: &Value) {
        let path = ["rooms", room, "state", kind, ""];
        self.call(Method::PUT, &path, content).await;
    }

    async fn state(&self, room: &str, kind: &str) -> Option<Value> {
        match self.matrix.state(room, kind, "").await {
            Err(MatrixError::Refused { status: 404, .. }) => None,
            answer => Some(answer.unwrap()),
        }
    }

    /// Waits until the membership of a user is as wanted; the content of its event.
    async fn membership(&self, room: &str, user: &str, wanted: &str) -> Value {
        eventually(&format!("{user} has {wanted} {room}"), || async {
            let member = self.matrix.state(room, "m.room.member", user).await.ok()?;
            (member["membership"] == wanted).then_some(member)
        })
        .await
        .unwrap()
    }

    /// How many answers stand in a room to what an answer answers, once a later line was answered.
    async fn answers(&self, world: &World, room: &str, answer: &RoomEvent) -> usize {
        self.ask(world, room, "!whoami").await;
        let history = self.matrix.history(room, 1_000).await.unwrap();
        let to = answer.reply_to();
        history.iter().filter(|e| e.reply_to() == to).count()
    }

    /// Types a line and waits for its answer.
    async fn ask(&self, world: &World, room: &str, line: &str) -> RoomEvent {
        let event = self
            .matrix
            .send(room, "m.room.message", &text(line), &world.transaction())
            .await
            .unwrap();
        eventually(&format!("an answer to {line} in {room}"), || async {
            let history = self.matrix.history(room, 1_000).await.ok()?;
            history.into_iter().find(|e| e.reply_to() == Some(&event))
        })
        .await
        .unwrap()
    }
}

fn localpart(world: &World, name: &str) -> String {
    format!("{}-{name}", world.tenant())
}

fn user(world: &World, name: &str) -> String {
    let (_, server) = world.operator.user_id().split_once(':').unwrap();
    format!("@{}:{server}", localpart(world, name))
}

/// The gateway's list of rooms, as the bot is told it.
async fn planned(world: &World, key: &str) -> Value {
    let token = world
        .stack
        .folder()
        .stored_secret("bot-token")
        .unwrap()
        .unwrap();
    let rooms: Value = reqwest::Client::new()
        .get(world.gateway_url.join("v1/rooms").unwrap())
        .bearer_auth(token.expose())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let rooms = rooms["rooms"].as_array().unwrap();
    rooms.iter().find(|r| r["key"] == key).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_may_bring_the_bot_into_a_room_and_a_foreigner_may_not() {
    let world = World::raise().await.unwrap();
    let bot = user(&world, "fleet");
    let operator = Person::operator(&world).await;

    let direct = json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [bot] });
    let room = operator.create(&direct).await;
    operator.membership(&room, &bot, "join").await;
    let answer = operator.ask(&world, &room, "!whoami").await;
    assert!(answer.body().unwrap().contains("operator"), "{answer:#?}");
    let answer = operator
        .ask(&world, &room, "!task add \"from a direct message\"")
        .await;
    assert!(answer.body().unwrap().contains("t1"), "{answer:#?}");
    assert_eq!(operator.answers(&world, &room, &answer).await, 1);
    assert_eq!(
        world.task_titles().await.unwrap(),
        ["from a direct message"]
    );

    let foreigner = Person::other(&world, "eve").await;
    let room = foreigner
        .create(&json!({ "preset": "private_chat", "invite": [bot] }))
        .await;
    let left = foreigner.membership(&room, &bot, "leave").await;
    assert!(
        left["reason"].as_str().unwrap().contains("no grant"),
        "{left}"
    );
    // The bot writes its line after the homeserver has told everybody that it left.
    let log = world.stack.folder().log(BOT);
    let told = eventually("the bot logs that it declined", async || {
        let log = std::fs::read_to_string(&log).ok()?;
        let line = log.lines().find(|line| line.contains("declined"))?;
        Some(line.to_owned())
    })
    .await
    .unwrap();
    assert!(told.contains(foreigner.matrix.user_id()), "{told}");
    assert!(told.contains("no grant"), "{told}");

    // What a foreigner says in a room of the fleet's is answered, and does nothing.
    operator
        .invite(&world.lobby, foreigner.matrix.user_id())
        .await;
    foreigner.matrix.join(&world.lobby).await.unwrap();
    let answer = foreigner
        .ask(&world, &world.lobby, "!task add \"from outside\"")
        .await;
    let code = &answer.content["dev.mosaicstack.fleet"]["error"]["code"];
    assert_eq!(code, "auth.no_grant", "{answer:#?}");
    assert_eq!(world.task_titles().await.unwrap().len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_room_is_followed() {
    let world = World::raise().await.unwrap();
    let bot = user(&world, "fleet");
    let operator = Person::operator(&world).await;
    let version = operator.state(&world.lobby, "m.room.create").await.unwrap();
    let version = version["room_version"].as_str().unwrap_or("1").to_owned();
    world.ask("!task add \"before the upgrade\"").await.unwrap();

    let upgraded = operator
        .call(
            Method::POST,
            &["rooms", &world.lobby, "upgrade"],
            &json!({ "new_version": version }),
        )
        .await;
    let next = upgraded["replacement_room"].as_str().unwrap().to_owned();
    operator.invite(&next, &bot).await;
    operator.membership(&next, &bot, "join").await;
    eventually("the register's room follows", || async {
        (planned(&world, "lobby").await["room_id"] == next.as_str()).then_some(())
    })
    .await
    .unwrap();
    let answer = operator
        .ask(&world, &next, "!task add \"after the upgrade\"")
        .await;
    assert!(answer.body().unwrap().contains("t2"), "{answer:#?}");
    assert_eq!(operator.answers(&world, &next, &answer).await, 1);
    let mut titles = world.task_titles().await.unwrap();
    titles.sort();
    assert_eq!(titles, ["after the upgrade", "before the upgrade"]);
    world.end().await;
}

/// A client with a crypto store, as people use it: the operator's third device.
async fn encrypting(world: &World) -> Client {
    let client = Client::builder()
        .homeserver_url(world.stack.homeserver().url.as_str())
        .respect_login_well_known(false)
        .build()
        .await
        .unwrap();
    let password = world.stack.folder().secret("operator-password").unwrap();
    client
        .matrix_auth()
        .login_username(localpart(world, "operator"), password.expose())
        .send()
        .await
        .unwrap();
    client
}

/// Syncs until the room shows an answer to an event; its body as it was decrypted.
async fn decrypted_answer(client: &Client, room: &OwnedRoomId, event: &OwnedEventId) -> String {
    eventually("an encrypted answer", || async {
        let settings = SyncSettings::new().timeout(Duration::from_secs(2));
        let response = client.sync_once(settings).await.ok()?;
        let update = response.rooms.joined.get(room)?;
        update.timeline.events.iter().find_map(|shown| {
            shown.encryption_info()?;
            let raw: Value = shown.raw().deserialize_as_unchecked().ok()?;
            let content = &raw["content"];
            let to = &content["m.relates_to"]["m.in_reply_to"]["event_id"];
            (to == event.as_str()).then(|| content["body"].as_str().unwrap().to_owned())
        })
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_encrypted_room_the_bot_reads_and_answers_encrypted() {
    let world = World::raise().await.unwrap();
    let bot = user(&world, "fleet");
    let client = encrypting(&world).await;
    client.sync_once(SyncSettings::new()).await.unwrap();
    let operator = Person::operator(&world).await;
    let encryption =
        json!({ "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } });
    let id = operator
        .create(
            &json!({ "preset": "private_chat", "invite": [bot], "initial_state": [encryption] }),
        )
        .await;
    operator.membership(&id, &bot, "join").await;
    let id: OwnedRoomId = id.as_str().try_into().unwrap();
    let room = eventually("the client is in the room", || async {
        let settings = SyncSettings::new().timeout(Duration::from_secs(1));
        client.sync_once(settings).await.ok()?;
        let room = client.get_room(&id)?;
        room.latest_encryption_state()
            .await
            .ok()?
            .is_encrypted()
            .then_some(room)
    })
    .await
    .unwrap();
    let line = RoomMessageEventContent::text_plain("!task add \"a secret\"");
    let sent = room.send(line).await.unwrap().response.event_id;
    let answer = decrypted_answer(&client, &id, &sent).await;
    assert!(answer.contains("t1"), "{answer}");
    assert_eq!(world.task_titles().await.unwrap(), ["a secret"]);
    // The homeserver has seen neither the line nor the answer.
    let history = operator.matrix.history(id.as_str(), 100).await.unwrap();
    assert!(
        history
            .iter()
            .all(|e| !e.body().unwrap_or_default().contains("secret")),
        "{history:#?}"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_breaks_in_a_room_is_mended_when_the_bot_comes_back() {
    let world = World::raise().await.unwrap();
    let operator = Person::operator(&world).await;
    let board = planned(&world, "board").await["room_id"]
        .as_str()
        .unwrap()
        .to_owned();
    operator.matrix.join(&board).await.unwrap();
    let mia = user(&world, "mia");
    world.ask(&format!("!member add {mia}")).await.unwrap();
    let seat = format!("ceo={}", operator.matrix.user_id());
    world
        .ask(&format!("!board propose \"Shall we?\" --seat {seat}"))
        .await
        .unwrap();
    let (levels, alias, role, pins) = (
        "m.room.power_levels",
        "m.room.canonical_alias",
        "dev.mosaicstack.fleet.room",
        "m.room.pinned_events",
    );
    let whole = eventually("the room is whole", || async {
        let now = operator.state(&board, levels).await?;
        let pinned = operator.state(&board, pins).await?;
        (now["users"][&mia] == 50 && pinned["pinned"].as_array()?.len() == 1).then_some([
            (levels, now["users"].clone()),
            (alias, operator.state(&board, alias).await?["alias"].clone()),
            (role, operator.state(&board, role).await?),
            (pins, pinned["pinned"].clone()),
        ])
    })
    .await
    .unwrap();

    let mut broken = operator.state(&board, levels).await.unwrap();
    broken["users"].as_object_mut().unwrap().remove(&mia);
    operator.set(&board, levels, &broken).await;
    operator.set(&board, alias, &json!({})).await;
    operator.set(&board, role, &json!({ "v": 1 })).await;
    operator.set(&board, pins, &json!({ "pinned": [] })).await;
    let name = whole[1].1.as_str().unwrap();
    operator
        .call(Method::DELETE, &["directory", "room", name], &json!({}))
        .await;
    world.stack.processes().kill(BOT).await.unwrap();

    eventually("the room is mended", || async {
        let mut is_whole = operator.matrix.resolve(name).await.ok()? == board;
        for (kind, wanted) in &whole {
            let now = operator.state(&board, kind).await?;
            let now = match *kind {
                kind if kind == levels => &now["users"],
                kind if kind == alias => &now["alias"],
                kind if kind == pins => &now["pinned"],
                _ => &now,
            };
            is_whole &= now == wanted;
        }
        is_whole.then_some(())
    })
    .await
    .unwrap();
    world.end().await;
}
