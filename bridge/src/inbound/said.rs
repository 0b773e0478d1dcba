//! What an agent says to another by a message: the address line and the text for people, the same
//! under the fleet's key for programs.

use fleet_protocol::address::{Address, AddressLine};
use fleet_protocol::envelope::Body;
use fleet_protocol::event::{AgentIdentity, CommandContent, SaidContent, TWIN};
use fleet_protocol::language::Command;
use fleet_protocol::problem::{Code, Place, Problem};
use fleet_protocol::scalar::MessageText;
use fleet_protocol::verbs::inbox::Send;

use super::{Incoming, Limits};

/// What is said, or why it is not passed on; none for a message of another kind.
pub(super) fn read(incoming: &Incoming, limits: &Limits) -> Option<Body> {
    let twin = incoming.content.get(TWIN)?;
    // Something else is said beside the text: it is to nobody.
    twin.get("from").and(twin.get("to"))?;
    let id = CommandContent::is_key(&incoming.event_id).then(|| incoming.event_id.clone());
    Some(match said(incoming, limits, id.as_deref()) {
        Ok(body) => body,
        Err(problem) => Body::RefusedEvent { id, problem },
    })
}

fn said(incoming: &Incoming, limits: &Limits, id: Option<&str>) -> Result<Body, Problem> {
    let id = id.ok_or_else(|| Problem::new(Code::Malformed, "the event's id is too long"))?;
    let SaidContent {
        from,
        to,
        class,
        chain,
        incarnation,
        ..
    } = SaidContent::read(&incoming.content[TWIN])?;
    let body = incoming.content.get("body").and_then(|b| b.as_str());
    let (line, text) = AddressLine::split(body.unwrap_or_default()).ok_or_else(|| {
        Problem::new(
            Code::Malformed,
            "the message does not begin with an address line",
        )
        .remedy(format!("begin it like this: [{from} -> {to}] text"))
        .at(Place::Path("body".into()))
    })?;
    let same = line.from == from
        && line.to.name == to.name
        && to.host.as_ref().is_none_or(|host| *host == line.to.host)
        && class.is_none_or(|class| class == line.class);
    if !same {
        return Err(Problem::new(
            Code::NotYourself,
            format!("people read {line}, and programs read [{from} -> {to}]"),
        )
        .remedy("say the same in both")
        .at(Place::Path("body".into())));
    }
    let text = text.replace('\0', "");
    let text: MessageText = text.parse().map_err(|e| {
        Problem::new(Code::Malformed, format!("the text {e}")).at(Place::Path("body".into()))
    })?;
    if let Some(seconds) = limits.lateness(incoming, limits.event_max_age) {
        return Err(super::too_late(seconds));
    }
    let to = Address {
        host: Some(line.to.host),
        name: to.name,
    };
    let class = Some(line.class);
    Ok(Body::Event {
        id: id.to_owned(),
        request: Command::from(Send { to, text, class }).into(),
        agent: AgentIdentity {
            name: from.name,
            host: from.host,
            incarnation,
        },
        chain,
        lease: None,
        is_shown: true,
    })
}
