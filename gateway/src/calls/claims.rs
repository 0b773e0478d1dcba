//! Claims of one tenant in one transaction (ADR 0034): those that are plain in a fixed number of statements, the others
//! one after the other.

use fleet_protocol::envelope::Call;
use fleet_protocol::language::Command;

use super::admission::{Fresh, Looked, record};
use super::{Done, ask, within};
use crate::db::{self, Tx};
use crate::execute::Stop;
use crate::execute::task::{Asking, claim_all};
use crate::http::Caller;
use crate::journal;
use crate::run::{Core, Ended};

/// Executes claims, each once under its key; in their order.
///
/// # Errors
/// Those of the database: then nothing of the transaction may be kept.
pub(crate) async fn together(
    core: &Core,
    tx: &mut Tx,
    claims: &[(&Caller, &str, &Call<Command>)],
) -> Result<Vec<Result<Done, Stop>>, sqlx::Error> {
    let keys = claims.iter();
    let keys: Vec<String> = keys
        .map(|(c, key, _)| journal::key_of(c.principal(), key))
        .collect();
    let asks = claims.iter().zip(&keys);
    let asks: Vec<_> = asks
        .map(|((caller, _, call), key)| ask(caller, key, call))
        .collect();
    let seen = journal::look_all(tx, &asks).await?;
    let mut done: Vec<Option<Result<Done, Stop>>> = Vec::with_capacity(claims.len());
    let mut fresh = Vec::with_capacity(claims.len());
    for (((caller, _, call), key), seen) in claims.iter().zip(keys).zip(seen) {
        let place = done.len();
        done.push(None);
        match Looked::of(core, caller, key, call, seen) {
            Ok(Looked::Fresh(it)) if it.refusal.is_none() => fresh.push((place, *it)),
            Ok(Looked::Known(receipt)) => done[place] = Some(Ok(Done::again(*receipt))),
            // What is refused is refused alone.
            Ok(Looked::Fresh(_)) | Err(_) => {}
        }
    }
    plain(core, tx, fresh, &mut done).await?;
    let mut all = Vec::with_capacity(claims.len());
    for ((caller, key, call), done) in claims.iter().zip(done) {
        if let Some(done) = done {
            all.push(done);
            continue;
        }
        db::mark(tx).await?;
        match within(core, tx, caller, key, call).await {
            Err(Stop::Database(error)) => return Err(error),
            alone => all.push(alone),
        }
    }
    Ok(all)
}

/// Does those that are plain.
async fn plain(
    core: &Core,
    tx: &mut Tx,
    fresh: Vec<(usize, Fresh<'_>)>,
    done: &mut [Option<Result<Done, Stop>>],
) -> Result<(), sqlx::Error> {
    let asking = fresh.iter().filter_map(|(_, it)| {
        let (job, args) = (it.job(), it.claim()?);
        Some(Asking { job, args })
    });
    let asking: Vec<Asking<'_>> = asking.collect();
    let ended = match claim_all(tx, core.ids.as_ref(), &asking).await {
        Ok(ended) => ended,
        Err(Stop::Database(error)) => return Err(error),
        // A refusal of all is told to each alone.
        Err(Stop::Refused(_)) => {
            db::undo(tx).await?;
            return Ok(());
        }
    };
    drop(asking);
    let both = fresh.into_iter().zip(ended);
    let (places, ended): (Vec<usize>, Vec<(Fresh<'_>, Ended)>) = both
        .filter_map(|((place, it), ended)| Some((place, (it, ended?))))
        .unzip();
    for (place, recorded) in places.into_iter().zip(record(tx, ended).await?) {
        done[place] = Some(Ok(recorded));
    }
    Ok(())
}
