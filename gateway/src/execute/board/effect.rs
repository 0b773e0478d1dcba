//! Effects: what may run when a proposal passes, in words, and run.

use fleet_policy::board::may_run;
use fleet_protocol::ids::{MissionRef, Ref, TaskRef};
use fleet_protocol::problem::Code;
use fleet_protocol::verbs::board::{ChangeSeat, Effect, ProposalKind, SeatChange};
use fleet_protocol::verbs::member::GrantRole;
use fleet_protocol::{Command, Moment, Problem, Reply};
use uuid::Uuid;

use crate::db;
use crate::execute::{Actor, Exec, Place, Stop, command};
use fleet_protocol::document::number;

/// Checks that a kind may run an effect, and fixes what it refers to: ids and instants mean at the
/// end what they mean now.
pub(super) async fn fix(
    exec: &mut Exec<'_>,
    kind: ProposalKind,
    effect: &Effect,
) -> Result<Effect, Stop> {
    if !may_run(kind, effect) {
        let verb = effect.0.name();
        let allowed = ProposalKind::ALL
            .iter()
            .find(|k| may_run(**k, effect))
            .map_or_else(
                || "no proposal may run it".to_owned(),
                |k| format!("propose it with --kind {k}"),
            );
        return Err(Problem::new(
            Code::BadEffect,
            format!("a proposal of kind {kind} may not run \"{verb}\""),
        )
        .remedy(allowed)
        .into());
    }
    let mut command = (*effect.0).clone();
    if matches!(&command, Command::BudgetSet(set) if set.dry_run)
        || matches!(&command, Command::BudgetReset(reset) if reset.dry_run)
    {
        return Err(Problem::new(
            Code::BadEffect,
            "an effect with --dry-run would change nothing when it passes",
        )
        .remedy("leave --dry-run out; the card says what it will do")
        .into());
    }
    match &mut command {
        Command::BudgetSet(set) => {
            if let Some(moment) = &mut set.reset_at {
                *moment = fixed(exec, moment)?;
            }
        }
        Command::BudgetReset(reset) => reset.reset_at = fixed(exec, &reset.reset_at)?,
        Command::MissionClose(close) => close.mission = Ref::id(exec.resolve(close.mission).await?),
        Command::TaskPriority(set) => set.task = Ref::id(exec.resolve(set.task).await?),
        Command::TaskCancel(cancel) => cancel.task = Ref::id(exec.resolve(cancel.task).await?),
        Command::TaskAdd(add) => {
            if let Some(mission) = &mut add.mission {
                *mission = Ref::id(exec.resolve(*mission).await?);
            }
            for task in &mut add.depends_on {
                *task = Ref::id(exec.resolve(*task).await?);
            }
        }
        _ => {}
    }
    Ok(Effect(Box::new(command)))
}

fn fixed(exec: &Exec<'_>, moment: &Moment) -> Result<Moment, Problem> {
    let at = moment
        .resolve(exec.now, exec.zone)
        .map_err(|e| Problem::new(Code::BadEffect, format!("the effect's --reset-at {e}")))?;
    Ok(Moment::At(at.0))
}

/// What an effect does, with names and amounts.
pub(super) async fn in_words(exec: &mut Exec<'_>, effect: &Effect) -> Result<String, Stop> {
    let named = match &*effect.0 {
        Command::MissionClose(close) => Some(mission(exec, close.mission).await?),
        Command::TaskPriority(set) => Some(task(exec, set.task).await?),
        Command::TaskCancel(cancel) => Some(task(exec, cancel.task).await?),
        _ => None,
    };
    Ok(words(exec, effect, &named.unwrap_or_default()))
}

/// A task as people know it: `t3 "Write the notes"`.
async fn task(exec: &mut Exec<'_>, task: TaskRef) -> Result<String, Stop> {
    let id = exec.resolve(task).await?;
    let found = sqlx::query!(
        "SELECT number, title FROM fleet.tasks WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| vanished("task"))?;
    Ok(format!("t{} \"{}\"", found.number, found.title))
}

async fn mission(exec: &mut Exec<'_>, mission: MissionRef) -> Result<String, Stop> {
    let id = exec.resolve(mission).await?;
    let found = sqlx::query!(
        "SELECT number, title FROM fleet.missions WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| vanished("mission"))?;
    Ok(format!("m{} \"{}\"", found.number, found.title))
}

fn vanished(what: &str) -> Stop {
    Problem::new(
        Code::NotFound,
        format!("the effect names a {what} that does not exist"),
    )
    .remedy(format!("see what there is with: !{what} list"))
    .into()
}

fn words(exec: &Exec<'_>, effect: &Effect, named: &str) -> String {
    let when = |moment: &Moment| match moment.resolve(exec.now, exec.zone) {
        Ok(at) => at.in_zone(exec.zone),
        Err(_) => moment.to_string(),
    };
    match &*effect.0 {
        Command::Pause(p) => {
            let reason = p
                .reason
                .as_ref()
                .map_or_else(String::new, |r| format!(" ({r})"));
            format!("Pauses the fleet: no new claim or dispatch{reason}.")
        }
        Command::Resume(_) => "Lets work go on after the pause.".to_owned(),
        Command::BudgetSet(s) => {
            let window = s
                .window
                .as_ref()
                .map_or_else(String::new, |w| format!(" {w}"));
            let reset = s
                .reset_at
                .as_ref()
                .map_or_else(String::new, |m| format!(", resets {}", when(m)));
            format!(
                "Sets the limit of {}{window} to {} {}{reset}.",
                s.series(),
                number(s.limit.get()),
                s.unit.noun()
            )
        }
        Command::BudgetReset(r) => {
            let window = r
                .window
                .as_ref()
                .map_or_else(String::new, |w| format!(" {w}"));
            format!(
                "Ends the present window of {}{window} {}.",
                r.series(),
                when(&r.reset_at)
            )
        }
        Command::MemberAdd(m) => {
            format!(
                "Lets {} into the fleet as {}.",
                m.user,
                m.role.unwrap_or(GrantRole::Member)
            )
        }
        Command::MemberGrant(m) => format!("Grants {} the role {}.", m.user, m.role),
        Command::MemberRevoke(m) => match m.role {
            Some(role) => format!("Takes the role {role} from {}.", m.user),
            None => format!("Takes every role from {}.", m.user),
        },
        Command::MissionNew(m) => format!("Opens the mission \"{}\".", m.title),
        Command::MissionClose(_) => format!("Closes the mission {named}."),
        Command::TaskPriority(set) => {
            format!("Sets the priority of {named} to {}.", set.priority.get())
        }
        Command::TaskCancel(_) => format!("Cancels the task {named}."),
        Command::BoardSeat(seat) => seat_words(seat),
        Command::TaskAdd(t) => format!("Adds the task \"{}\".", t.title),
        other => format!("Runs \"{}\".", other.name()),
    }
}

fn seat_words(seat: &ChangeSeat) -> String {
    let title = &seat.seat;
    match (seat.change, &seat.holder) {
        (SeatChange::Suspend, _) => format!("Keeps the seat {title} from voting."),
        (SeatChange::Restore, _) => format!("Lets the seat {title} vote again."),
        (SeatChange::Remove, _) => format!("Takes the seat {title} from the standing board."),
        (SeatChange::Set, Some(holder)) => {
            format!("Gives the seat {title} of the standing board to {holder}.")
        }
        (SeatChange::Set, None) => format!("Changes the seat {title} of the standing board."),
    }
}

/// Who an effect runs as: the board, by its decision.
fn board(decision: Uuid) -> Actor {
    Actor {
        principal: format!("board:{decision}"),
        user: None,
        roles: vec![GrantRole::Operator],
        agent: None,
        lease: None,
        identity: None,
        chain: None,
        power_level: None,
        may_command: Vec::new(),
    }
}

/// Runs an effect in a savepoint as the board. A refusal of the domain, and a fault that another try
/// would not mend, undo the effect alone and are the answer; a fault that another try may mend is an
/// error, and the whole close is tried again.
pub(super) async fn run(
    exec: &mut Exec<'_>,
    decision: Uuid,
    effect: &Effect,
) -> Result<Result<Reply, Problem>, Stop> {
    attempt(exec, decision, effect, true).await
}

/// Tries what an effect would do now, and undoes it.
pub(super) async fn try_out(
    exec: &mut Exec<'_>,
    effect: &Effect,
) -> Result<Result<Reply, Problem>, Stop> {
    attempt(exec, Uuid::nil(), effect, false).await
}

async fn attempt(
    exec: &mut Exec<'_>,
    decision: Uuid,
    effect: &Effect,
    keep: bool,
) -> Result<Result<Reply, Problem>, Stop> {
    sqlx::raw_sql("SAVEPOINT effect")
        .execute(&mut *exec.tx)
        .await?;
    let (actor, place) = (board(decision), Place::default());
    let mut inner = Exec {
        tx: &mut *exec.tx,
        tenant: exec.tenant,
        zone: exec.zone,
        now: exec.now,
        ids: exec.ids,
        actor: &actor,
        place: &place,
        admission: exec.admission,
        outbox: Vec::new(),
        woken: Vec::new(),
        answer_subject: None,
        keep_refused: false,
        dry_run: false,
    };
    let ran = Box::pin(command(&mut inner, &effect.0)).await;
    let (rows, woken) = (
        std::mem::take(&mut inner.outbox),
        std::mem::take(&mut inner.woken),
    );
    let done = match ran {
        Ok(reply) => Ok(reply),
        Err(Stop::Refused(problem)) => Err(*problem),
        Err(Stop::Database(e)) if db::is_transient(&e) => return Err(e.into()),
        Err(Stop::Database(e)) => {
            tracing::error!(%decision, error = %e, "an effect's statement failed");
            Err(Problem::new(
                Code::Internal,
                "a fault of the fleet's own kept the effect from running",
            ))
        }
    };
    let end = if keep && done.is_ok() {
        "RELEASE SAVEPOINT effect"
    } else {
        "ROLLBACK TO SAVEPOINT effect; RELEASE SAVEPOINT effect"
    };
    sqlx::raw_sql(end).execute(&mut *exec.tx).await?;
    if keep && done.is_ok() {
        exec.outbox.extend(rows);
        exec.woken.extend(woken);
    }
    Ok(done)
}
