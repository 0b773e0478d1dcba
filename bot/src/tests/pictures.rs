use std::time::Duration;

use fleet_protocol::Timestamp;
use fleet_protocol::outbox::{OutboxRow, Picture, Post};
use fleet_protocol::reply::ChartView;
use fleet_protocol::verbs::budget::Unit;
use serde_json::json;
use uuid::Uuid;
use wiremock::ResponseTemplate;

use super::sending::{row, send, sends, sent};
use super::world::{World, matrix_error, mock, ok};

/// A row that shows a chart.
fn picture(n: u128) -> OutboxRow {
    let at = Timestamp::from_millis;
    let chart = ChartView {
        title: "claude weekly".into(),
        unit: Unit::Tokens,
        limit: 1_000,
        spent: 400,
        held: 0,
        planned: None,
        starts_at: at(0),
        resets_at: None,
        at: at(5_000),
        ticks: Vec::new(),
        points: Vec::new(),
    };
    let plain = row(n, "caption");
    let Post::Message(message) = plain.post else {
        panic!("a message");
    };
    let charts = vec![chart];
    OutboxRow {
        post: Post::Picture(Box::new(Picture { message, charts })),
        ..plain
    }
}

const UPLOAD: &str = "/_matrix/media/v3/upload";

fn uploaded(id: &str) -> ResponseTemplate {
    ok(json!({ "content_uri": format!("mxc://example.org/{id}") }))
}

#[tokio::test]
async fn a_picture_is_uploaded_once_and_shown_by_its_message() {
    let world = World::new().await;
    let unavailable = matrix_error(503, "M_UNKNOWN");
    let steps = vec![unavailable.clone(), uploaded("a"), uploaded("never")];
    let mut uploads = mock(&world.homeserver, "POST", UPLOAD, steps).await;
    let mut puts = sends(&world, vec![unavailable, ok(json!({ "event_id": "$1" }))]).await;
    assert_eq!(send(&world, vec![picture(1)]).await.unwrap(), [sent("$1")]);
    assert_eq!(
        uploads.seen().len(),
        2,
        "the file is there when the message is repeated"
    );
    for _ in 0..2 {
        let body = puts.body().await;
        assert_eq!(body["msgtype"], "m.image");
        assert_eq!(body["url"], "mxc://example.org/a");
        assert_eq!(body["body"], "caption");
        assert_eq!(
            body["dev.mosaicstack.fleet"]["row"],
            json!(Uuid::from_u128(1))
        );
    }
}

#[tokio::test]
async fn a_bot_that_was_killed_between_upload_and_message_uploads_again_under_the_same_transaction()
{
    let world = World::new().await;
    let steps = vec![uploaded("a"), uploaded("b")];
    let mut uploads = mock(&world.homeserver, "POST", UPLOAD, steps).await;
    let never = ok(json!({ "event_id": "$1" })).set_delay(Duration::from_hours(1));
    let mut puts = sends(&world, vec![never, ok(json!({ "event_id": "$1" }))]).await;
    let killed = async {
        let first = puts.next().await;
        (first, puts)
    };
    let (first, mut puts) = tokio::select! {
        ended = send(&world, vec![picture(1)]) => panic!("the message is on its way: {ended:?}"),
        seen = killed => seen,
    };
    // Its successor knows nothing but the row.
    assert_eq!(send(&world, vec![picture(1)]).await.unwrap(), [sent("$1")]);
    let second = puts.next().await;
    assert_eq!(
        first.url.path(),
        second.url.path(),
        "one transaction, so one message"
    );
    assert_eq!(uploads.seen().len(), 2);
}
