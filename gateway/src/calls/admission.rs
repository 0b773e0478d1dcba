//! A command on its way: looked up, run, written down.

use fleet_protocol::envelope::{Call, Receipt};
use fleet_protocol::language::Command;
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::task;
use fleet_protocol::{Problem, Request, Timestamp};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Done, actor, may, place};
use crate::db::{self, Tx};
use crate::execute::{Actor, NewRow, Place, Room, Stop};
use crate::http::Caller;
use crate::journal::{self, Entry, Seen};
use crate::outbox;
use crate::run::{self, Core, Ended, Job};

/// What the journal knows of a command.
pub(super) enum Looked<'a> {
    /// It was admitted before.
    Known(Box<Receipt>),
    Fresh(Box<Fresh<'a>>),
}

/// A command that is to run.
pub(super) struct Fresh<'a> {
    caller: &'a Caller,
    call: &'a Call<Command>,
    key: String,
    digest: String,
    pub(super) request: Request,
    pub(super) actor: Actor,
    place: Place,
    zone: TimeZone,
    pub(super) admission: Uuid,
    now: Timestamp,
    /// Why it may not.
    pub(super) refusal: Option<Problem>,
}

impl<'a> Looked<'a> {
    /// Under the journal's key.
    ///
    /// # Errors
    /// [`Code::KeyReused`] where another command came under its key.
    pub(super) fn of(
        core: &Core,
        caller: &'a Caller,
        key: String,
        call: &'a Call<Command>,
        mut seen: Seen,
    ) -> Result<Self, Stop> {
        let request = Request::Command(call.request.clone());
        let digest = journal::digest(&request, call.agent.as_ref(), call.lease.as_ref());
        if let Some(prior) = seen.prior.take() {
            let receipt = prior.replay(&digest);
            return match receipt.problem {
                Some(problem) if problem.code == Code::KeyReused => Err(problem.into()),
                problem => Ok(Self::Known(Box::new(Receipt { problem, ..receipt }))),
            };
        }
        let actor = actor(caller, call, &seen);
        Ok(Self::Fresh(Box::new(Fresh {
            refusal: may(call, &seen, &actor, &request).err(),
            caller,
            call,
            key,
            digest,
            request,
            place: place(&seen),
            zone: run::zone(&seen.zone)?,
            admission: core.ids.next(),
            now: core.clock.now(),
            actor,
        })))
    }
}

impl Fresh<'_> {
    pub(super) fn job(&self) -> Job<'_> {
        Job {
            tenant: &self.caller.tenant,
            zone: &self.zone,
            actor: &self.actor,
            place: &self.place,
            admission: self.admission,
            now: self.now,
        }
    }

    /// What a claim asks for.
    pub(super) fn claim(&self) -> Option<&task::Claim> {
        match &self.call.request {
            Command::TaskClaim(claim) => Some(claim),
            _ => None,
        }
    }

    fn body(&self) -> Result<Value, sqlx::Error> {
        let call = self.call;
        journal::encode(&json!({
            "request": self.request, "agent": call.agent, "lease": call.lease, "chain": call.chain, "room": call.room,
        }))
    }

    fn authority(&self) -> Value {
        json!({ "roles": self.actor.roles, "token": self.caller.name })
    }
}

/// Writes down what became of commands of one tenant, and what is said of it.
///
/// # Errors
/// Those of the database; one worth repeating when a key was admitted by somebody else in between, as the next try
/// answers what they stored.
pub(super) async fn record(
    tx: &mut Tx,
    ended: Vec<(Fresh<'_>, Ended)>,
) -> Result<Vec<Done>, sqlx::Error> {
    let mut done = Vec::with_capacity(ended.len());
    let mut written = Vec::with_capacity(ended.len());
    let mut said = Vec::new();
    for (fresh, ended) in ended {
        let receipt = ended.receipt(fresh.admission, &fresh.key);
        written.push((fresh.body()?, fresh.authority()));
        let Ended { rows, woken, .. } = ended;
        done.push(Done {
            receipt,
            has_said: !rows.is_empty(),
            woken,
        });
        said.push((fresh, rows));
    }
    let entries = said.iter().zip(&written).zip(&done);
    let entries = entries.map(|(((fresh, _), (body, authority)), done)| Entry {
        tenant: &fresh.caller.tenant,
        digest: &fresh.digest,
        principal: &fresh.actor.principal,
        room: None,
        verb: Some(fresh.request.name()),
        body,
        authority,
        now: fresh.now,
        receipt: &done.receipt,
    });
    let entries: Vec<Entry<'_>> = entries.collect();
    if !journal::write_all(tx, &entries).await? {
        return Err(db::again());
    }
    entries.iter().for_each(|entry| entry.log("http", ""));
    drop(entries);
    say(tx, said).await?;
    Ok(done)
}

/// Each says what it says where it was made.
async fn say(tx: &mut Tx, said: Vec<(Fresh<'_>, Vec<NewRow>)>) -> Result<(), sqlx::Error> {
    let Some((first, _)) = said.first() else {
        return Ok(());
    };
    let source = outbox::Source {
        tenant: &first.caller.tenant,
        // Each row names its own.
        place: &Place::default(),
        cause: None,
        now: first.now,
        device: None,
    };
    let mut rows = Vec::new();
    for (fresh, of_it) in said {
        rows.extend(of_it.into_iter().map(|mut row| {
            if let (Room::Here, Some(room)) = (&row.room, fresh.place.room) {
                row.room = Room::Id(room);
            }
            (Some(fresh.admission), row)
        }));
    }
    outbox::write_all(tx, &source, rows).await.map(drop)
}
