//! One request in one transaction: authority, the work behind a savepoint, the journal, the outbox.

use std::panic::AssertUnwindSafe;

use fleet_policy::authority;
use fleet_protocol::envelope::{Outcome, Receipt};
use fleet_protocol::event::AgentIdentity;
use fleet_protocol::language::Command;
use fleet_protocol::problem::{Code, Place as At};
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::{Problem, Reply, Request, Timestamp};
use futures_util::FutureExt as _;
use jiff::tz::TimeZone;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::combine::Combiner;
use crate::db::{self, Tx};
use crate::execute::{self, Actor, Exec, NewRow, Place, Stop, Subject};
use crate::hub::Hub;
use crate::journal::{Seen, reference};
use crate::{Clock, Ids};

/// What every request needs.
pub(crate) struct Core {
    /// The register.
    pub(crate) pool: PgPool,
    /// The time.
    pub(crate) clock: Box<dyn Clock>,
    /// Ids.
    pub(crate) ids: Box<dyn Ids>,
    /// Wakes who waits for the outbox.
    pub(crate) hub: Hub,
    /// Where claims wait for each other; none where nobody takes them together.
    pub(crate) combiner: Option<Combiner>,
}

/// A request that is about to run.
pub(crate) struct Job<'a> {
    /// The tenant.
    pub(crate) tenant: &'a Name,
    /// The tenant's zone.
    pub(crate) zone: &'a TimeZone,
    /// Who asks.
    pub(crate) actor: &'a Actor,
    /// Where.
    pub(crate) place: &'a Place,
    /// The journal's row.
    pub(crate) admission: Uuid,
    /// The present.
    pub(crate) now: Timestamp,
}

impl Job<'_> {
    /// What a verb works with.
    pub(crate) fn exec<'t>(&'t self, tx: &'t mut PgConnection, ids: &'t dyn Ids) -> Exec<'t> {
        Exec {
            tx,
            tenant: self.tenant,
            zone: self.zone,
            now: self.now,
            ids,
            actor: self.actor,
            place: self.place,
            admission: self.admission,
            outbox: Vec::new(),
            woken: Vec::new(),
            answer_subject: None,
            keep_refused: false,
            dry_run: false,
        }
    }
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) outcome: Outcome,
    /// The answer, when done.
    pub(crate) reply: Option<Reply>,
    /// The reason, when not.
    pub(crate) problem: Option<Problem>,
    /// What is to be said besides the answer.
    pub(crate) rows: Vec<NewRow>,
    /// Agents whose inboxes got something.
    pub(crate) woken: Vec<Uuid>,
    /// What the answer is about.
    pub(crate) subject: Option<(Subject, Uuid)>,
}

impl Ended {
    /// Nothing to do.
    pub(crate) fn skipped() -> Self {
        Self {
            outcome: Outcome::Skipped,
            reply: None,
            problem: None,
            rows: Vec::new(),
            woken: Vec::new(),
            subject: None,
        }
    }

    /// Done, with what is said of it, and what its answer is about.
    pub(crate) fn done(reply: Reply, rows: Vec<NewRow>, subject: (Subject, Uuid)) -> Self {
        Self {
            outcome: Outcome::Done,
            reply: Some(reply),
            rows,
            subject: Some(subject),
            ..Self::skipped()
        }
    }

    /// Refused for a reason; the reference finds the journal's row.
    pub(crate) fn refused(problem: Problem, admission: Uuid) -> Self {
        let problem = problem.reference(reference(admission));
        Self {
            outcome: Outcome::Refused,
            problem: Some(problem),
            ..Self::skipped()
        }
    }

    /// Failed by a fault that another try will not mend.
    pub(crate) fn failed(admission: Uuid) -> Self {
        let problem = Problem::new(
            Code::Internal,
            "a fault of the fleet's own kept this from running; nothing was changed",
        )
        .remedy("tell an operator the reference; it finds the log line")
        .reference(reference(admission));
        Self {
            outcome: Outcome::Failed,
            problem: Some(problem),
            ..Self::skipped()
        }
    }

    /// The receipt under a key.
    pub(crate) fn receipt(&self, id: Uuid, key: &str) -> Receipt {
        Receipt {
            id,
            key: key.to_owned(),
            outcome: self.outcome,
            replayed: false,
            reply: self.reply.clone(),
            problem: self.problem.clone(),
        }
    }
}

/// Runs work behind the savepoint: what it wrote stays only if it is done. A refusal, a panic and a
/// fault that another try will not mend are outcomes; a fault that another try may mend is an error.
pub(crate) async fn settle<F>(
    tx: &mut Tx,
    job: &Job<'_>,
    ids: &dyn Ids,
    work: F,
) -> Result<Ended, sqlx::Error>
where
    F: AsyncFnOnce(&mut Exec<'_>) -> Result<Option<Reply>, Stop>,
{
    let mut exec = job.exec(tx, ids);
    // What the work held is dropped with it, and what it wrote is undone: nothing half-made is seen.
    let ended = AssertUnwindSafe(work(&mut exec)).catch_unwind().await;
    let (rows, woken, subject, keep_refused, dry_run) = (
        std::mem::take(&mut exec.outbox),
        std::mem::take(&mut exec.woken),
        exec.answer_subject,
        exec.keep_refused,
        exec.dry_run,
    );
    let ended = match ended {
        Ok(Ok(Some(reply))) if dry_run => {
            db::undo(tx).await?;
            return Ok(Ended {
                outcome: Outcome::Done,
                reply: Some(reply.only_tried()),
                subject,
                ..Ended::skipped()
            });
        }
        Ok(Ok(Some(reply))) => {
            return Ok(Ended {
                outcome: Outcome::Done,
                reply: Some(reply),
                problem: None,
                rows,
                woken,
                subject,
            });
        }
        Ok(Ok(None)) => {
            return Ok(Ended {
                rows,
                woken,
                subject,
                ..Ended::skipped()
            });
        }
        Ok(Err(Stop::Refused(problem))) if keep_refused => {
            return Ok(Ended {
                rows,
                woken,
                subject,
                ..Ended::refused(*problem, job.admission)
            });
        }
        Ok(Err(Stop::Refused(problem))) => Ended::refused(*problem, job.admission),
        Ok(Err(Stop::Database(e))) if db::is_transient(&e) => return Err(e),
        Ok(Err(Stop::Database(e))) => {
            tracing::error!(reference = reference(job.admission), error = %e, "a statement failed");
            Ended::failed(job.admission)
        }
        Err(_) => {
            tracing::error!(reference = reference(job.admission), "a verb panicked");
            Ended::failed(job.admission)
        }
    };
    db::undo(tx).await?;
    Ok(ended)
}

/// Executes a request, whoever may ask it.
pub(crate) async fn request(exec: &mut Exec<'_>, request: &Request) -> Result<Reply, Stop> {
    match request {
        // Boxed: the future of every verb in one is large, and nests too deep for an optimized build.
        Request::Command(c) => Box::pin(execute::command(exec, c)).await,
        Request::Query(q) => Box::pin(execute::query(exec, q)).await,
    }
}

/// Whether the actor may ask this.
pub(crate) fn authorize(
    actor: &Actor,
    verb: &str,
    writes: bool,
    joined: Option<bool>,
    via_chat: bool,
) -> Result<(), Problem> {
    authority::decide(&authority::Ask {
        verb,
        writes,
        roles: &actor.roles,
        joined,
        power_level: actor.power_level,
        may_command: &actor.may_command,
        is_agent_account: is_agents(actor),
        via_chat,
    })
}

/// Whether an account is an agent's: one is registered for it, or it may do no more than agents do.
/// A model that prints `!` must not command before it has registered either.
fn is_agents(actor: &Actor) -> bool {
    actor.agent.is_some() || actor.roles.iter().max() == Some(&GrantRole::Agent)
}

/// Whether what a request says of its agent is what the register knows (doctrine, "Names").
pub(crate) fn identify(
    seen: &Seen,
    said: &AgentIdentity,
    request: &Request,
) -> Result<(), Problem> {
    if matches!(request, Request::Command(Command::AgentRegister(_))) {
        return Ok(());
    }
    let path = |p: &str| At::Path(format!("agent.{p}"));
    let Some(known) = &seen.agent else {
        return Err(Problem::new(
            Code::NotYourself,
            format!(
                "no agent is registered for this account, so it cannot speak as {}",
                said.name
            ),
        )
        .remedy("register it first, with agent.register")
        .at(path("name")));
    };
    if known.name != said.name || known.host != said.host {
        return Err(Problem::new(
            Code::NotYourself,
            format!(
                "this account is {} on {}, not {} on {}",
                known.name, known.host, said.name, said.host
            ),
        )
        .remedy("an agent acts only as itself")
        .at(path("name")));
    }
    if known.incarnation != said.incarnation {
        return Err(Problem::new(
            Code::StaleIncarnation,
            format!(
                "incarnation {} of {} is not the current one, {}",
                said.incarnation, known.name, known.incarnation
            ),
        )
        .remedy("register again, and use the incarnation that this returns")
        .at(path("incarnation")));
    }
    Ok(())
}

/// The tenant's zone; the column was checked when it was set, so an unknown one is a fault.
pub(crate) fn zone(name: &str) -> Result<TimeZone, sqlx::Error> {
    TimeZone::get(name).map_err(|e| sqlx::Error::Decode(e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UuidIds;
    use fleet_local::postgres::TemporaryCluster;

    /// Runs work on a transaction of its own that has made a row before the savepoint's work.
    async fn ended<F>(pool: &PgPool, work: F) -> (Ended, i64)
    where
        F: AsyncFnOnce(&mut Exec<'_>) -> Result<Option<Reply>, Stop>,
    {
        let tenant: Name = "default".parse().unwrap();
        let actor = Actor {
            principal: "test".into(),
            user: None,
            roles: Vec::new(),
            agent: None,
            lease: None,
            identity: None,
            chain: None,
            power_level: None,
            may_command: Vec::new(),
        };
        let mut tx = db::begin(pool, &tenant).await.unwrap();
        let job = Job {
            tenant: &tenant,
            zone: &TimeZone::UTC,
            actor: &actor,
            place: &Place::default(),
            admission: UuidIds.next(),
            now: Timestamp::from_millis(0),
        };
        let ended = settle(&mut tx, &job, &UuidIds, work).await.unwrap();
        let sql = "SELECT count(*) FROM made WHERE current_setting('fleet.tenant') = 'default'";
        let rows = sqlx::query_scalar(sql).fetch_one(&mut *tx).await.unwrap();
        (ended, rows)
    }

    async fn make(exec: &mut Exec<'_>) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO made VALUES (1)")
            .execute(&mut *exec.tx)
            .await
            .map(drop)
    }

    #[tokio::test]
    async fn only_work_that_is_done_stays_and_a_panic_is_an_outcome() {
        let cluster = TemporaryCluster::start(10, &|_| {}).await.unwrap();
        let pool = db::pool(&cluster.owner_url(), 2).unwrap();
        sqlx::query("CREATE TABLE made (n integer CHECK (n > 0))")
            .execute(&pool)
            .await
            .unwrap();
        let refusal = || Stop::from(Problem::new(Code::Invalid, "no"));

        let (done, rows) = ended(&pool, async |e| {
            make(e).await.map(|()| None).map_err(Stop::from)
        })
        .await;
        assert_eq!((done.outcome, rows), (Outcome::Skipped, 1));
        let (panicked, rows) = ended(&pool, async |e| {
            make(e).await?;
            panic!("a fault")
        })
        .await;
        assert_eq!((panicked.outcome, rows), (Outcome::Failed, 0));
        assert_eq!(panicked.problem.unwrap().code, Code::Internal);
        let (refused, rows) = ended(&pool, async |e| {
            make(e).await?;
            Err(refusal())
        })
        .await;
        assert_eq!((refused.outcome, rows), (Outcome::Refused, 0));
        let (kept, rows) = ended(&pool, async |e| {
            make(e).await?;
            e.keep_refused = true;
            Err(refusal())
        })
        .await;
        assert_eq!((kept.outcome, rows), (Outcome::Refused, 1));
        let (broken, rows) = ended(&pool, async |e| {
            make(e).await?;
            sqlx::query("INSERT INTO made VALUES (0)")
                .execute(&mut *e.tx)
                .await?;
            Ok(None)
        })
        .await;
        assert_eq!((broken.outcome, rows), (Outcome::Failed, 0));
    }
}
