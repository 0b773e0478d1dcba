//! Contents of messages, as people's clients write them.

use serde_json::{Value, json};

/// A text message.
pub fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

/// A text message that replies to another.
pub fn reply(body: &str, to: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body, "m.relates_to": { "m.in_reply_to": { "event_id": to } } })
}

/// A text message in a thread, with the fallback for clients that show no threads.
pub fn thread(body: &str, root: &str, latest: &str) -> Value {
    json!({
        "msgtype": "m.text",
        "body": body,
        "m.relates_to": {
            "rel_type": "m.thread",
            "event_id": root,
            "is_falling_back": true,
            "m.in_reply_to": { "event_id": latest },
        },
    })
}

/// A new text for a message already sent.
pub fn edit(body: &str, of: &str) -> Value {
    json!({
        "msgtype": "m.text",
        "body": format!("* {body}"),
        "m.new_content": { "msgtype": "m.text", "body": body },
        "m.relates_to": { "rel_type": "m.replace", "event_id": of },
    })
}

/// Content of an `m.reaction`.
pub fn reaction(key: &str, on: &str) -> Value {
    json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": on, "key": key } })
}
