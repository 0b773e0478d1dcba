//! What the board's room hears of a proposal: the card, edited live, and what is said about it.

use fleet_protocol::document::text;
use fleet_protocol::outbox::{Attention, Message, Post, Relation, Target};
use fleet_protocol::scalar::UserId;
use fleet_protocol::verbs::board::Holder;
use fleet_protocol::{Document, Reply};

use super::read::Proposal;
use crate::execute::{Exec, NewRow, Room, Stop, Subject, notice};

/// Reactions that the bot places, so that a vote is one tap. They are the bot's and never count.
const LEGEND: &[&str] = &["✅", "❌", "🤷"];

/// The card of a proposal as it stands.
fn card(exec: &Exec<'_>, proposal: &Proposal, mentions: Vec<UserId>) -> Message {
    let view = proposal.view();
    Message {
        attention: Attention::Loud,
        document: view.card(&exec.reader()),
        mentions,
        twin: serde_json::json!({ "proposal": view }),
    }
}

/// Posts the card under the row that the proposal names, pins it and places the legend.
pub(super) async fn post(exec: &mut Exec<'_>, proposal: &Proposal) -> Result<(), Stop> {
    let seats = proposal.content.seats.iter().map(|s| &s.holder);
    let mentions = users(exec, seats.collect()).await?;
    let message = card(exec, proposal, mentions);
    // The row's id is already in the proposal, so that the card can be found from there.
    exec.outbox.push(NewRow {
        id: proposal.card,
        room: room(proposal),
        post: Post::Message(message),
        relation: None,
        subject: about(proposal),
        is_detail: false,
    });
    let on = Target::Row(proposal.card);
    exec.post(
        room(proposal),
        Post::Pin { pinned: true },
        Some(Relation::Pins(on.clone())),
        about(proposal),
    );
    for key in LEGEND {
        let reaction = Post::Reaction {
            key: (*key).to_owned(),
        };
        let relation = Some(Relation::Annotates(on.clone()));
        exec.post(room(proposal), reaction, relation, about(proposal));
    }
    Ok(())
}

/// Shows on the card what has changed.
pub(super) fn refresh(exec: &mut Exec<'_>, proposal: &Proposal) {
    let message = card(exec, proposal, Vec::new());
    exec.edit(room(proposal), proposal.card, message, about(proposal));
}

/// Posts the decision, as a reply to the card, to everybody who had a seat.
pub(super) async fn decision(exec: &mut Exec<'_>, closed: &Proposal) -> Result<(), Stop> {
    let seats = closed.content.seats.iter().map(|s| &s.holder);
    let view = closed.view();
    let message = Message {
        attention: Attention::Loud,
        document: view.decided(),
        mentions: users(exec, seats.collect()).await?,
        twin: serde_json::json!({ "decision": view }),
    };
    exec.say(room(closed), message, on_card(closed), about(closed));
    Ok(())
}

/// Reminds those who may vote and have not; nobody where all have.
pub(super) async fn remind(exec: &mut Exec<'_>, proposal: &Proposal) -> Result<(), Stop> {
    let view = proposal.view();
    let missing: Vec<&Holder> = view.missing().map(|s| &s.seat.holder).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = Message {
        attention: Attention::Loud,
        document: view.reminder(&exec.reader()),
        mentions: users(exec, missing).await?,
        twin: serde_json::json!({ "reminder": { "proposal": view.id } }),
    };
    exec.say(room(proposal), message, on_card(proposal), about(proposal));
    Ok(())
}

/// Says something of the vote to all.
pub(super) fn say(exec: &mut Exec<'_>, proposal: &Proposal, said: &str) {
    let message = notice(Attention::Loud, Document::text(said));
    exec.say(room(proposal), message, on_card(proposal), about(proposal));
}

/// Says something in the card's thread, to whom it may concern.
pub(super) fn note(exec: &mut Exec<'_>, proposal: &Proposal, said: &str) {
    let document = Document::new().paragraph([text("ℹ "), text(said)]);
    threaded(exec, proposal, notice(Attention::Quiet, document));
}

/// Acknowledges in the card's thread what was recorded.
pub(super) fn acknowledge(exec: &mut Exec<'_>, proposal: &Proposal, reply: &Reply) {
    let document = reply.document(&exec.reader());
    threaded(exec, proposal, notice(Attention::Quiet, document));
}

/// Posts a seat's structured review, folded, in the card's thread.
pub(super) fn review(exec: &mut Exec<'_>, proposal: &Proposal, seat: usize) {
    if let Some(view) = proposal.seats().get(seat) {
        let message = Message {
            twin: serde_json::json!({ "review": { "proposal": proposal.short(), "seat": view } }),
            ..notice(Attention::Quiet, view.review())
        };
        threaded(exec, proposal, message);
    }
}

fn threaded(exec: &mut Exec<'_>, proposal: &Proposal, message: Message) {
    let root = Target::Row(proposal.card);
    let relation = Some(Relation::Thread { root });
    exec.say(room(proposal), message, relation, about(proposal));
}

/// The room of a proposal's card.
pub(super) fn room(proposal: &Proposal) -> Room {
    Room::Id(proposal.room)
}

fn about(proposal: &Proposal) -> Option<(Subject, uuid::Uuid)> {
    Some((Subject::Proposal, proposal.id))
}

fn on_card(proposal: &Proposal) -> Option<Relation> {
    Some(Relation::Reply {
        to: Target::Row(proposal.card),
        thread_root: None,
    })
}

/// The Matrix users behind holders of seats: whom a message mentions.
async fn users(exec: &mut Exec<'_>, holders: Vec<&Holder>) -> Result<Vec<UserId>, Stop> {
    let (mut people, mut names) = (Vec::new(), Vec::new());
    for holder in holders {
        match holder {
            Holder::User(user) => people.push(user.clone()),
            Holder::Agent(name) => names.push(name.to_string()),
        }
    }
    if !names.is_empty() {
        let agents = sqlx::query_scalar!(
            "SELECT user_id FROM fleet.agents WHERE tenant_id = $1 AND name = ANY($2) AND retired_at IS NULL",
            exec.tenant.as_str(),
            &names
        )
        .fetch_all(&mut *exec.tx)
        .await?;
        people.extend(agents.iter().filter_map(|a| a.parse().ok()));
    }
    people.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    people.dedup();
    Ok(people)
}
