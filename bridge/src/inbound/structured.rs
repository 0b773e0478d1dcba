//! Structured commands of agents.

use fleet_protocol::envelope::Body;
use fleet_protocol::event::CommandContent;
use fleet_protocol::problem::{Code, Place, Problem};
use serde_json::Value;

use super::{Incoming, Limits};

/// The largest content that is read, in bytes of JSON; a Matrix event has at most 64 KiB.
const MAX_CONTENT: usize = 60 * 1024;

/// The command, or why it is none; either is answered by a receipt.
pub(super) fn read(incoming: &Incoming, limits: &Limits) -> Body {
    let id = incoming
        .content
        .get("id")
        .and_then(Value::as_str)
        .filter(|id| CommandContent::is_key(id));
    let refused = |problem| Body::RefusedEvent {
        id: id.map(str::to_owned),
        problem,
    };
    let size = incoming.content.to_string().len();
    if size > MAX_CONTENT {
        let detail = format!("the content has {size} bytes; at most {MAX_CONTENT} are read");
        return refused(
            Problem::new(Code::TooLarge, detail)
                .remedy("put the long text into a file and name its path"),
        );
    }
    if let Some(path) = float(&incoming.content) {
        let problem = Problem::new(
            Code::Malformed,
            "Matrix carries whole numbers only, and this is a fraction",
        );
        return refused(problem.at(Place::Path(path)));
    }
    let content = match CommandContent::read(&incoming.content) {
        Ok(content) => content,
        Err(problem) => return refused(problem),
    };
    if let Some(seconds) = limits.lateness(incoming, limits.event_max_age) {
        return refused(super::too_late(seconds));
    }
    let CommandContent {
        id,
        command,
        agent,
        chain,
        lease,
        ..
    } = content;
    Body::Event {
        id,
        request: command,
        agent,
        chain,
        lease,
        is_shown: false,
    }
}

/// The path of the first number that is no integer (Matrix spec, "Canonical JSON").
fn float(value: &Value) -> Option<String> {
    let join = |head: String, rest: String| match rest.as_str() {
        "" => head,
        r if r.starts_with('[') => format!("{head}{r}"),
        r => format!("{head}.{r}"),
    };
    match value {
        Value::Number(n) if n.is_f64() => Some(String::new()),
        Value::Object(map) => map
            .iter()
            .find_map(|(key, v)| float(v).map(|rest| join(key.clone(), rest))),
        Value::Array(all) => all
            .iter()
            .enumerate()
            .find_map(|(i, v)| float(v).map(|rest| join(format!("[{i}]"), rest))),
        _ => None,
    }
}
