//! Calls outside of rooms: commands once per key, queries.

mod admission;
mod claims;

use fleet_protocol::envelope::{Call, Receipt};
use fleet_protocol::language::{Command, Query};
use fleet_protocol::problem::{Code, Place as At};
use fleet_protocol::scalar::Name;
use fleet_protocol::{Problem, Reply, Request};
use uuid::Uuid;

use admission::{Looked, record};
pub(crate) use claims::together;

use crate::db::{self, Tx};
use crate::execute::{Actor, Place, Stop};
use crate::http::Caller;
use crate::journal::{self, Ask, Seen};
use crate::run::{self, Core, Ended, Job};

/// The room in which a call counts that names none.
const LOBBY: &str = "lobby";
/// How often a call is tried.
const TRIES: u32 = 5;

/// Executes a command once under its key; a repetition gets the stored receipt. Claims share a transaction with
/// those that wait at the same time.
///
/// # Errors
/// [`Code::KeyReused`] for another body under the same key; faults of the database.
pub(crate) async fn command(
    core: &Core,
    caller: &Caller,
    key: &str,
    call: &Call<Command>,
) -> Result<Receipt, Stop> {
    if let (Command::TaskClaim(_), Some(combiner)) = (&call.request, &core.combiner)
        && let Some(receipt) = combiner.claim(caller, key, call).await
    {
        return receipt;
    }
    alone(core, caller, key, call).await
}

/// The same in a transaction of its own.
///
/// # Errors
/// As of [`command`].
pub(crate) async fn alone(
    core: &Core,
    caller: &Caller,
    key: &str,
    call: &Call<Command>,
) -> Result<Receipt, Stop> {
    let mut tried = 0;
    loop {
        tried += 1;
        match attempt(core, caller, key, call).await {
            Err(Stop::Database(e)) if tried < TRIES && db::is_worth_repeating(&e) => {
                tracing::warn!(key, tried, error = %e, "a call is tried again");
            }
            ended => return ended,
        }
    }
}

async fn attempt(
    core: &Core,
    caller: &Caller,
    key: &str,
    call: &Call<Command>,
) -> Result<Receipt, Stop> {
    let mut tx = db::begin(&core.pool, &caller.tenant).await?;
    let done = within(core, &mut tx, caller, key, call).await?;
    tx.commit().await?;
    Ok(done.told(core))
}

/// What became of a command, before it is committed.
pub(crate) struct Done {
    receipt: Receipt,
    has_said: bool,
    woken: Vec<Uuid>,
}

impl Done {
    /// What became of it when it ran before.
    fn again(receipt: Receipt) -> Self {
        Self {
            receipt,
            has_said: false,
            woken: Vec::new(),
        }
    }

    /// Once it is committed: wakes who waits for what was written. Its receipt.
    pub(crate) fn told(self, core: &Core) -> Receipt {
        if self.has_said {
            core.hub.written();
        }
        core.hub.filled(&self.woken);
        self.receipt
    }
}

/// The command within a transaction whose savepoint is its own. After an error of the database the transaction is of
/// no use any more.
///
/// # Errors
/// As of [`command`].
pub(crate) async fn within(
    core: &Core,
    tx: &mut Tx,
    caller: &Caller,
    key: &str,
    call: &Call<Command>,
) -> Result<Done, Stop> {
    let key = journal::key_of(caller.principal(), key);
    let seen = journal::look(tx, &ask(caller, &key, call)).await?;
    let fresh = match Looked::of(core, caller, key, call, seen)? {
        Looked::Known(receipt) => return Ok(Done::again(*receipt)),
        Looked::Fresh(fresh) => fresh,
    };
    let ended = match &fresh.refusal {
        Some(problem) => Ended::refused(problem.clone(), fresh.admission),
        None => {
            let job = fresh.job();
            run::settle(tx, &job, core.ids.as_ref(), async |exec| {
                run::request(exec, &fresh.request).await.map(Some)
            })
            .await?
        }
    };
    let done = record(tx, vec![(*fresh, ended)]).await?;
    let first = done.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
    Ok(first)
}

/// The answer to a query, and the agent that asked.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) agent: Option<Uuid>,
}

/// Answers a query; nothing is journalled, as nothing is changed but to whom an item was handed.
pub(crate) async fn query(
    core: &Core,
    caller: &Caller,
    call: &Call<Query>,
) -> Result<Answered, Stop> {
    let tenant = &caller.tenant;
    let request = Request::Query(call.request.clone());
    let mut tx = db::begin(&core.pool, tenant).await?;
    let seen = journal::look(&mut tx, &ask(caller, "", call)).await?;
    let (actor, place) = (actor(caller, call, &seen), place(&seen));
    let (admission, now, zone) = (core.ids.next(), core.clock.now(), run::zone(&seen.zone)?);
    let job = Job {
        tenant,
        zone: &zone,
        actor: &actor,
        place: &place,
        admission,
        now,
    };
    may(call, &seen, &actor, &request)?;
    let ended = run::settle(&mut tx, &job, core.ids.as_ref(), async |exec| {
        run::request(exec, &request).await.map(Some)
    })
    .await?;
    match (ended.reply, ended.problem) {
        (Some(reply), _) => {
            tx.commit().await?;
            let agent = actor.agent.map(|a| a.id);
            Ok(Answered { reply, agent })
        }
        (None, Some(problem)) => Err(problem.into()),
        (None, None) => Err(Problem::new(Code::Internal, "the query has no answer").into()),
    }
}

fn ask<'a, R>(caller: &'a Caller, key: &'a str, call: &'a Call<R>) -> Ask<'a> {
    let room_key = Some(call.room.as_ref().map_or(LOBBY, |r| r.as_str()));
    Ask {
        tenant: &caller.tenant,
        key,
        user: caller.user.as_ref(),
        room_id: None,
        room_key,
        lease: None,
    }
}

fn may<R>(call: &Call<R>, seen: &Seen, actor: &Actor, request: &Request) -> Result<(), Problem> {
    if let Some(room) = &call.room
        && seen.room.is_none()
    {
        return Err(Problem::new(
            Code::NotFound,
            format!("there is no room with the key {room}"),
        ));
    }
    match (&call.agent, &seen.agent) {
        (Some(said), _) => run::identify(seen, said, request)?,
        // Without its incarnation nobody could tell an agent from its former self (doctrine, "Names").
        (None, Some(me)) if speaks_as_agent(request) => {
            return Err(nameless(&me.name));
        }
        (None, _) => {}
    }
    run::authorize(
        actor,
        request.name(),
        matches!(request, Request::Command(_)),
        None,
        false,
    )
}

/// Whether only the present life of an agent may ask this: any write but its registration, and
/// taking from its inbox.
fn speaks_as_agent(request: &Request) -> bool {
    match request {
        Request::Command(command) => !matches!(command, Command::AgentRegister(_)),
        Request::Query(query) => matches!(query, Query::AgentNext(_)),
    }
}

fn nameless(agent: &Name) -> Problem {
    Problem::new(
        Code::NotYourself,
        format!("this account is the agent {agent}, and the call does not say which life of it acts"),
    )
    .remedy("send \"agent\": {\"name\": ..., \"host\": ..., \"incarnation\": ...} as its registration answered")
    .at(At::Path("agent".into()))
}

fn actor<R>(caller: &Caller, call: &Call<R>, seen: &Seen) -> Actor {
    Actor {
        principal: caller.principal().to_owned(),
        user: caller.user.clone(),
        roles: caller.roles(&seen.roles),
        agent: seen.agent.clone(),
        lease: call.lease.clone(),
        identity: call.agent.clone(),
        chain: call.chain.clone(),
        power_level: None,
        may_command: Vec::new(),
    }
}

fn place(seen: &Seen) -> Place {
    Place {
        room: seen.room,
        room_key: seen.room_key.clone(),
        ..Place::default()
    }
}
