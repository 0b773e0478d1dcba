//! Events of a room: each in its own transaction, in order, exactly once.

use std::time::Duration;

use fleet_protocol::envelope::{Body, Envelope, Mark, Outcome, Receipt, Submit, Submitted};
use fleet_protocol::outbox::OutboxRow;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use fleet_protocol::{Problem, Reader, Timestamp};
use serde_json::json;
use uuid::Uuid;

use crate::db::{self, Tx};
use crate::execute::{Actor, Place, Stop};
use crate::journal::{self, Ask, Prior, Seen};
use crate::run::{self, Core, Ended, Job};
use crate::{answer, bot_lease, follow, incident, outbox, rooms};

/// Envelopes at once.
const MOST: usize = 100;
/// How often an envelope is tried before it is put aside.
const TRIES: u32 = 5;
/// The wait before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(20);

/// One envelope and where the room's mark goes with it.
struct Step<'a> {
    tenant: &'a Name,
    submit: &'a Submit,
    envelope: &'a Envelope,
    expected: Option<&'a str>,
    mark: Mark,
}

/// Admits the envelopes of one room in order.
///
/// # Errors
/// Before any further envelope runs: [`Code::BotLeaseLost`]; [`Code::NotFound`] for a room that is
/// not bound; [`Code::WrongState`] when the mark is not where it was expected, so that the bot must
/// read again; [`Code::Unavailable`] when the register cannot be reached. What was admitted stays.
pub(crate) async fn submit(core: &Core, tenant: &Name, submit: &Submit) -> Result<Submitted, Stop> {
    if submit.envelopes.len() > MOST {
        return Err(Problem::new(
            Code::TooLarge,
            format!(
                "{} envelopes; at most {MOST} at once",
                submit.envelopes.len()
            ),
        )
        .into());
    }
    let mut done = Submitted {
        receipts: Vec::with_capacity(submit.envelopes.len()),
        outbox: Vec::new(),
    };
    let mut expected = submit.expected_mark.as_deref();
    let last = submit.envelopes.len().saturating_sub(1);
    for (i, envelope) in submit.envelopes.iter().enumerate() {
        let own = Mark {
            event_id: envelope.key.clone(),
            read_up_to: envelope.origin_ts,
        };
        let mark = if i == last { submit.mark.clone() } else { own };
        let step = Step {
            tenant,
            submit,
            envelope,
            expected,
            mark: not_ahead(mark, core.clock.now()),
        };
        let (receipt, rows) = one(core, &step).await?;
        done.receipts.push(receipt);
        done.outbox.extend(rows);
        expected = Some(&envelope.key);
    }
    if submit.envelopes.is_empty() {
        only_mark(core, tenant, submit).await?;
    }
    Ok(done)
}

/// A mark whose time is not in the future: an event may claim any time it likes, and nobody has read
/// what is still to come.
fn not_ahead(mark: Mark, now: Timestamp) -> Mark {
    Mark {
        read_up_to: mark.read_up_to.min(now),
        ..mark
    }
}

/// Nothing but skipped events: the mark moves on.
async fn only_mark(core: &Core, tenant: &Name, submit: &Submit) -> Result<(), Stop> {
    let mut tx = db::begin(&core.pool, tenant).await?;
    bot_lease::check(&mut tx, tenant, &submit.lease).await?;
    let room = sqlx::query!(
        r#"SELECT id, room_id IS DISTINCT FROM $2 AS "is_former!" FROM fleet.rooms
           WHERE tenant_id = $1 AND (room_id = $2 OR $2 = ANY (former_room_ids))
           ORDER BY (room_id = $2) DESC NULLS LAST LIMIT 1"#,
        tenant.as_str(),
        submit.room_id
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(|| unbound(&submit.room_id))?;
    let mark = not_ahead(submit.mark.clone(), core.clock.now());
    let to = (mark.event_id.as_str(), mark.read_up_to);
    let expected = submit.expected_mark.as_deref();
    // The mark of a room that was replaced is nobody's any more.
    if !room.is_former && !rooms::move_mark(&mut tx, tenant, room.id, expected, to).await? {
        return Err(moved().into());
    }
    Ok(tx.commit().await?)
}

/// Tries an envelope until it is admitted; what cannot be admitted is put aside, so that it stops
/// nothing behind it. A register that is away says nothing about the envelope: the bot comes again.
async fn one(core: &Core, step: &Step<'_>) -> Result<(Receipt, Vec<OutboxRow>), Stop> {
    let mut pause = PAUSE;
    let mut tried = 0;
    loop {
        tried += 1;
        match attempt(core, step, false).await {
            Err(Stop::Database(e)) if tried < TRIES && db::is_worth_repeating(&e) => {
                tracing::warn!(key = step.envelope.key, tried, error = %e, "an envelope is tried again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(Stop::Database(e)) if db::is_lost(&e) => return Err(Stop::Database(e)),
            Err(Stop::Database(e)) => {
                tracing::error!(key = step.envelope.key, tried, error = %e, "an envelope is quarantined");
                return attempt(core, step, true).await;
            }
            ended => return ended,
        }
    }
}

async fn attempt(
    core: &Core,
    step: &Step<'_>,
    quarantine: bool,
) -> Result<(Receipt, Vec<OutboxRow>), Stop> {
    let Step {
        tenant,
        submit,
        envelope,
        ..
    } = *step;
    let mut tx = db::begin(&core.pool, tenant).await?;
    let ask = Ask {
        tenant,
        key: &envelope.key,
        user: Some(&envelope.sender),
        room_id: Some(&submit.room_id),
        room_key: None,
        lease: Some((
            submit.lease.account.as_str(),
            bot_lease::epoch(submit.lease.epoch),
        )),
    };
    let mut seen = journal::look(&mut tx, &ask).await?;
    if !seen.lease_ok {
        return Err(bot_lease::lost().into());
    }
    let room = seen.room.ok_or_else(|| unbound(&submit.room_id))?;
    if let Some(prior) = seen.prior.take() {
        if !seen.is_former {
            let here = (step.mark.event_id.as_str(), step.mark.read_up_to);
            rooms::move_mark(&mut tx, tenant, room, step.expected, here).await?;
        }
        tx.commit().await?;
        return Ok((prior.replay(&envelope.digest), Vec::new()));
    }
    // What was said in a room before it was replaced still counts, and is answered in the new one.
    if !seen.is_former && seen.mark.as_deref() != step.expected {
        return Err(moved().into());
    }
    let admitted = admit(core, step, &mut tx, &seen, quarantine).await?;
    let Some(Admitted {
        receipt,
        rows,
        woken,
    }) = admitted
    else {
        // The key was admitted by somebody else in between: what they stored is the answer.
        tx.rollback().await?;
        return Err(Stop::Database(db::again()));
    };
    let to = (step.mark.event_id.as_str(), step.mark.read_up_to);
    if !seen.is_former && !rooms::move_mark(&mut tx, tenant, room, step.expected, to).await? {
        return Err(moved().into());
    }
    tx.commit().await?;
    core.hub.written();
    core.hub.filled(&woken);
    Ok((receipt, rows))
}

/// What an envelope came to, in the transaction that is about to be committed.
struct Admitted {
    receipt: Receipt,
    rows: Vec<OutboxRow>,
    /// Agents whose inboxes got something.
    woken: Vec<Uuid>,
}

/// Runs an envelope and writes the journal and the answer; `None` when the key is taken meanwhile.
async fn admit(
    core: &Core,
    step: &Step<'_>,
    tx: &mut Tx,
    seen: &Seen,
    quarantine: bool,
) -> Result<Option<Admitted>, Stop> {
    let Step {
        tenant,
        submit,
        envelope,
        ..
    } = *step;
    let (actor, place) = (actor(envelope, seen), place(envelope, seen));
    let (admission, now, zone) = (core.ids.next(), core.clock.now(), run::zone(&seen.zone)?);
    let job = Job {
        tenant,
        zone: &zone,
        actor: &actor,
        place: &place,
        admission,
        now,
    };
    let mut ended = if quarantine {
        Ended::failed(admission)
    } else {
        follow::body(core, tx, &job, seen, envelope).await?
    };
    let receipt = ended.receipt(admission, &envelope.key);
    // What could not be executed may be what cannot be stored either.
    let body = if quarantine {
        json!({ "quarantined": true })
    } else {
        journal::encode(&envelope.body)?
    };
    let authority = json!({ "roles": actor.roles, "power_level": envelope.power_level, "joined": envelope.joined });
    let entry = journal::Entry {
        tenant,
        digest: &envelope.digest,
        principal: &actor.principal,
        room: place.room,
        verb: follow::verb(&envelope.body),
        body: &body,
        authority: &authority,
        now,
        receipt: &receipt,
    };
    let is_first = journal::write(tx, &entry).await?
        && (quarantine || follow::alias(core, tx, &entry, envelope).await?);
    if !is_first {
        return Ok(None);
    }
    if quarantine {
        let detail = format!(
            "the event {} could not be executed after {TRIES} tries and was put aside",
            envelope.key
        );
        let raised = incident::Raised {
            rule: "event.quarantined",
            subject: &envelope.key,
            detail: &detail,
        };
        incident::open(tx, tenant, core.ids.as_ref(), now, &raised).await?;
    }
    let mut rows = std::mem::take(&mut ended.rows);
    let reader = Reader { now, zone: &zone };
    if ended.outcome != Outcome::Skipped
        && let Some(row) = answer::to(envelope, &receipt, &ended, &reader, core.ids.next())
    {
        // A ballot is shown to all before it is acknowledged to the voter.
        let after = if matches!(envelope.body, Body::Ballot { .. }) {
            rows.len()
        } else {
            0
        };
        rows.insert(after, row);
    }
    let source = outbox::Source {
        tenant,
        place: &place,
        cause: Some(admission),
        now,
        device: Some(&submit.device),
    };
    let sent = outbox::write(tx, &source, rows).await?;
    entry.log("room", &submit.room_id);
    Ok(Some(Admitted {
        receipt,
        rows: sent,
        woken: ended.woken,
    }))
}

fn actor(envelope: &Envelope, seen: &Seen) -> Actor {
    let (identity, lease, chain) = match &envelope.body {
        Body::Event {
            agent,
            lease,
            chain,
            ..
        } => (Some(agent.clone()), lease.clone(), chain.clone()),
        _ => (None, None, None),
    };
    Actor {
        principal: envelope.sender.to_string(),
        user: Some(envelope.sender.clone()),
        roles: seen.roles.clone(),
        agent: seen.agent.clone(),
        lease,
        identity,
        chain,
        power_level: Some(envelope.power_level),
        may_command: seen.may_command.clone(),
    }
}

fn place(envelope: &Envelope, seen: &Seen) -> Place {
    Place {
        room: seen.room,
        room_key: seen.room_key.clone(),
        event: Some(envelope.key.clone()),
        reply_to: envelope.context.reply_to.clone(),
        thread_root: envelope.context.thread_root.clone(),
        sent_at: Some(envelope.origin_ts),
        is_shown: matches!(envelope.body, Body::Event { is_shown: true, .. }),
    }
}

fn unbound(room_id: &str) -> Problem {
    Problem::new(Code::NotFound, format!("the room {room_id} is not bound"))
        .remedy("bind it first, with PUT /v1/rooms/{room_id}")
}

fn moved() -> Problem {
    Problem::new(
        Code::WrongState,
        "the room has been read on meanwhile: its mark is not where it was expected",
    )
    .remedy("take the marks from GET /v1/rooms and read again from there")
}

/// The receipt of a prior admission under an agent's own key, as another event's receipt.
pub(crate) fn again(prior: Prior, digest: &str, admission: Uuid) -> Ended {
    let receipt = prior.replay(digest);
    let problem = receipt.problem.map(|p| {
        if p.reference.is_some() {
            p
        } else {
            p.reference(journal::reference(admission))
        }
    });
    Ended {
        outcome: receipt.outcome,
        reply: receipt.reply,
        problem,
        ..Ended::skipped()
    }
}
