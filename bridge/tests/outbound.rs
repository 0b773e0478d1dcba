//! What each kind of outbox row becomes in a room.

#![expect(clippy::panic, reason = "a helper of tests fails the test")]

use fleet_bridge::outbound::html::Html;
use fleet_bridge::outbound::{Outgoing, RenderError, render};
use fleet_protocol::Timestamp;
use fleet_protocol::document::{Block, Document, Span, bold, code, text};
use fleet_protocol::envelope::Outcome;
use fleet_protocol::event::ReceiptContent;
use fleet_protocol::outbox::{Attention, Message, OutboxRow, Picture, Post, Relation, Target};
use fleet_protocol::reply::{ChartPoint, ChartView, HelpView, Reply};
use fleet_protocol::verbs::budget::Unit;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

fn row(post: Post, relation: Option<Relation>) -> OutboxRow {
    OutboxRow {
        id: Uuid::from_u128(7),
        room_id: "!room:example.org".into(),
        post,
        relation,
        created_at: Timestamp::from_millis(0),
        attempt: None,
    }
}

fn on(event: &str) -> Target {
    Target::Event(event.into())
}

fn message(document: Document) -> Message {
    Message {
        attention: Attention::Quiet,
        document,
        mentions: Vec::new(),
        twin: Value::Null,
    }
}

fn receipt(reply: Option<Reply>) -> OutboxRow {
    let id = Some("k1".into());
    let content = ReceiptContent {
        v: 1,
        receipt: Uuid::from_u128(9),
        id,
        outcome: Outcome::Done,
        reply,
        error: None,
    };
    row(
        Post::Receipt(Box::new(content)),
        Some(Relation::References(on("$command"))),
    )
}

fn content(row: &OutboxRow) -> Value {
    match render(row) {
        Ok(Outgoing::Send { content, .. }) => content,
        other => panic!("not sent: {other:?}"),
    }
}

fn everything() -> Document {
    let Ok(user) = "@dana/x:example.org".parse() else {
        panic!("no user id")
    };
    Document::new()
        .heading([text("Head")])
        .paragraph([
            text("a <b> & \"c\"\n"),
            bold("d"),
            code("e<f"),
            Span::User(user),
        ])
        .list([vec![text("one")], vec![text("two")]])
        .table(["K", "V"], [[vec![text("k")], vec![code("v")]]])
        .code("x < y\n^")
        .quote("said")
        .folded("More", Document::text("inside"))
}

#[test]
fn a_message_is_text_and_html_with_its_row() {
    insta::assert_json_snapshot!(content(&row(Post::Message(message(everything())), None)));
}

#[test]
fn a_loud_message_mentions_and_stands_in_its_thread() {
    let Ok(user) = "@dana:example.org".parse() else {
        panic!("no user id")
    };
    let document = Document::text("Look");
    let loud = Message {
        attention: Attention::Loud,
        mentions: vec![user],
        twin: json!({"alert": "budget"}),
        document,
    };
    let relation = Relation::Reply {
        to: on("$command"),
        thread_root: Some(on("$root")),
    };
    insta::assert_json_snapshot!(content(&row(Post::Message(loud), Some(relation))));
}

#[test]
fn relations_of_messages_are_those_of_the_specification() {
    let related = |relation| {
        content(&row(
            Post::Message(message(Document::text("x"))),
            Some(relation),
        ))["m.relates_to"]
            .clone()
    };
    let reply = related(Relation::Reply {
        to: on("$c"),
        thread_root: None,
    });
    assert_eq!(reply, json!({"m.in_reply_to": {"event_id": "$c"}}));
    let thread = related(Relation::Thread { root: on("$r") });
    assert_eq!(
        thread,
        json!({"rel_type": "m.thread", "event_id": "$r", "is_falling_back": true, "m.in_reply_to": {"event_id": "$r"}})
    );
}

#[test]
fn an_edit_carries_the_new_content_and_notifies_nobody() {
    let edit = Post::Edit(message(Document::text("now 40 %")));
    insta::assert_json_snapshot!(content(&row(edit, Some(Relation::Replaces(on("$card"))))));
}

#[test]
fn a_receipt_refers_to_its_command() {
    insta::assert_json_snapshot!(content(&receipt(None)));
}

#[test]
fn a_receipt_too_large_for_an_event_says_so() {
    let content = content(&receipt(Some(Reply::Help(HelpView {
        topic: None,
        about: "x".repeat(70_000),
        usage: None,
        groups: Vec::new(),
        notes: Vec::new(),
        more: None,
    }))));
    assert!(content.to_string().len() < 60 * 1024);
    assert_eq!(
        (&content["outcome"], &content["error"]["code"]),
        (&json!("done"), &json!("http.too_large"))
    );
}

#[test]
fn a_reaction_annotates() {
    let reaction = Post::Reaction { key: "✅".into() };
    insta::assert_json_snapshot!(content(&row(
        reaction,
        Some(Relation::Annotates(on("$card")))
    )));
}

#[test]
fn redactions_and_pins_are_requests_of_their_own() {
    let event_id = "$m".to_owned();
    let redaction = row(
        Post::Redaction {
            reason: Some("wrong".into()),
        },
        Some(Relation::Redacts(on("$m"))),
    );
    assert_eq!(
        render(&redaction),
        Ok(Outgoing::Redact {
            event_id: event_id.clone(),
            reason: Some("wrong".into())
        })
    );
    let pin = row(Post::Pin { pinned: true }, Some(Relation::Pins(on("$m"))));
    assert_eq!(
        render(&pin),
        Ok(Outgoing::Pin {
            event_id,
            pinned: true
        })
    );
}

#[test]
fn a_row_whose_relation_does_not_fit_is_not_rendered() {
    assert_eq!(
        render(&row(Post::Pin { pinned: true }, None)),
        Err(RenderError::WrongRelation("pin"))
    );
    let unsent = Uuid::from_u128(3);
    let edit = row(
        Post::Edit(message(Document::new())),
        Some(Relation::Replaces(Target::Row(unsent))),
    );
    assert_eq!(render(&edit), Err(RenderError::Unresolved(unsent)));
}

#[test]
fn a_long_table_is_cut_and_says_how_much_is_missing() {
    let rows = (0..2_000).map(|i| {
        [
            vec![text(format!("t{i}"))],
            vec![text("a title of some length")],
        ]
    });
    let document = Document::text("2,000 tasks").table(["Task", "Title"], rows);
    let content = content(&row(Post::Message(message(document)), None));
    assert!(content.to_string().len() <= 40 * 1024);
    let body = content["body"].as_str().unwrap_or_default();
    assert!(body.starts_with("2,000 tasks\n"));
    let shown = body.lines().filter(|l| l.starts_with('t')).count();
    assert!(shown > 100);
    assert!(
        body.contains(&format!("… {} more lines, use", 2_000 - shown)),
        "{body}"
    );
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let long = any::<char>().prop_map(|c| c.to_string().repeat(20_000));
    let words = prop_oneof![9 => any::<String>(), 1 => long];
    let span = words.prop_flat_map(|t| {
        prop::sample::select(vec![
            Span::Text(t.clone()),
            Span::Bold(t.clone()),
            Span::Italic(t.clone()),
            Span::Code(t),
        ])
    });
    prop::collection::vec(span, 0..4)
}

fn documents() -> impl Strategy<Value = Document> {
    let table = |rows: Vec<Vec<Span>>| Block::Table {
        head: vec!["<h>".into()],
        rows: rows.into_iter().map(|cell| vec![cell]).collect(),
    };
    let block = prop_oneof![
        spans().prop_map(Block::Paragraph),
        spans().prop_map(Block::Quote),
        any::<String>().prop_map(Block::Code),
        prop::collection::vec(spans(), 0..4).prop_map(Block::List),
        prop::collection::vec(spans(), 0..4).prop_map(table),
        (any::<String>(), spans()).prop_map(|(summary, s)| Block::Folded {
            summary,
            blocks: vec![Block::Paragraph(s)]
        }),
    ];
    prop::collection::vec(block, 0..6).prop_map(Document)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn text_never_becomes_markup(words in any::<String>()) {
        let html = Html::of(&Document::text(words.clone())).into_string();
        let inner = html.strip_prefix("<p>").and_then(|h| h.strip_suffix("</p>")).unwrap_or("<");
        prop_assert!(!inner.replace("<br>", "").contains(['<', '>', '"', '\'']));
        let back = inner.replace("<br>", "\n").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
        prop_assert_eq!(back, words);
    }

    #[test]
    fn any_message_fits_into_an_event(document in documents(), edit in any::<bool>(), twin in any::<String>()) {
        let message = Message { twin: json!({ "t": twin }), ..message(document) };
        let row = if edit { row(Post::Edit(message), Some(Relation::Replaces(on("$m")))) } else { row(Post::Message(message), None) };
        let content = content(&row);
        prop_assert!(content.to_string().len() < 60 * 1024);
        prop_assert_eq!(&content["dev.mosaicstack.fleet"]["row"], &json!(row.id));
    }
}

#[test]
fn a_picture_is_drawn_the_same_each_time_and_its_words_are_its_caption() {
    let at = Timestamp::from_millis;
    let chart = ChartView {
        title: "claude weekly".into(),
        unit: Unit::Tokens,
        limit: 1_000,
        spent: 400,
        held: 100,
        planned: Some(500),
        starts_at: at(0),
        resets_at: Some(at(10_000)),
        at: at(5_000),
        ticks: Vec::new(),
        points: vec![ChartPoint {
            at: at(2_000),
            spent: 400,
        }],
    };
    let picture = |charts| {
        let message = message(Document::text("claude weekly: 400 of 1,000"));
        let post = Post::Picture(Box::new(Picture { message, charts }));
        row(
            post,
            Some(Relation::Reply {
                to: on("$asked"),
                thread_root: None,
            }),
        )
    };
    let row = picture(vec![chart]);
    let rendered = render(&row).unwrap();
    assert_eq!(rendered, render(&row).unwrap());
    let Outgoing::Upload {
        content_type,
        file,
        content,
    } = rendered
    else {
        panic!("a picture is uploaded");
    };
    assert_eq!(content_type, "image/png");
    assert!(file.starts_with(b"\x89PNG"), "a PNG");
    insta::with_settings!({ omit_expression => true }, {
        let info = json!({ "mimetype": "image/png", "size": file.len(), "w": 1_000, "h": 640 });
        assert_eq!(content["info"], info);
        let mut shape = content;
        shape["info"] = Value::Null;
        insta::assert_json_snapshot!("picture", shape);
    });
    assert!(matches!(
        render(&picture(Vec::new())),
        Err(RenderError::Picture(_))
    ));
}
