//! The ways to run a task: which accounts serve it, with which models, under which series.

use fleet_protocol::problem::Code;
use fleet_protocol::reply::Changed;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::budget as verbs;
use fleet_protocol::verbs::budget::Scope;
use fleet_protocol::{Problem, Reply};

use super::gauge::{Gauged, Which};
use super::series::{Series, unreadable};
use crate::execute::{Exec, Stop, member};

/// The product's own ladder, highest first (doctrine 5).
const LADDER: &[&str] = &["opus", "sonnet", "haiku"];

/// An account that gets work.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: Name,
    /// Empty: all.
    models: Vec<Name>,
}

impl Account {
    fn serves(&self, model: Option<&Name>) -> bool {
        model.is_none_or(|m| self.models.is_empty() || self.models.contains(m))
    }
}

/// One way to run a task.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) account: Option<Name>,
    pub(super) model: Option<Name>,
    pub(super) rung: usize,
    /// Places of its series among those that were read.
    pub(super) series: Vec<usize>,
}

/// Whose series govern a task besides the account's.
#[derive(Debug, Clone)]
pub(super) struct Scopes {
    pub(super) role: Name,
    pub(super) agent: Option<Name>,
    pub(super) mission: Option<Name>,
}

impl Scopes {
    /// Every series that may matter, with those of the accounts.
    pub(super) fn which(&self, accounts: &[Account]) -> Which {
        let of_accounts = accounts
            .iter()
            .map(|a| (Scope::Subscription, a.name.as_str()));
        let own = [
            Some((Scope::Role, self.role.as_str())),
            self.agent.as_ref().map(|a| (Scope::Agent, a.as_str())),
            self.mission.as_ref().map(|m| (Scope::Mission, m.as_str())),
        ];
        Which::scopes(of_accounts.chain(own.into_iter().flatten()))
    }

    /// Whether a series governs the work when this account pays.
    fn covers(&self, account: Option<&Name>, series: &Series) -> bool {
        let key = match series.scope {
            Scope::Subscription => account,
            Scope::Role => Some(&self.role),
            Scope::Agent => self.agent.as_ref(),
            Scope::Mission => self.mission.as_ref(),
        };
        key == Some(&series.key)
    }
}

/// The accounts a task's provider means: the account of that name and those it shares a pool with, or
/// those of the pool of that name. A name that nobody said anything about is an account.
pub(super) async fn accounts(exec: &mut Exec<'_>, provider: &Name) -> Result<Vec<Account>, Stop> {
    let rows = sqlx::query!(
        r#"SELECT s.name, s.models, s.retired_at IS NOT NULL AS "retired!" FROM fleet.subscriptions s
           WHERE s.tenant_id = $1 AND (s.name = $2 OR s.pool = $2 OR s.pool = (
               SELECT p.pool FROM fleet.subscriptions p WHERE p.tenant_id = $1 AND p.name = $2))
           ORDER BY s.name"#,
        exec.tenant.as_str(),
        provider.as_str()
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    if rows.is_empty() {
        return Ok(vec![Account {
            name: provider.clone(),
            models: Vec::new(),
        }]);
    }
    let mut accounts = Vec::with_capacity(rows.len());
    for r in rows.into_iter().filter(|r| !r.retired) {
        let models: Result<Vec<Name>, _> = r.models.iter().map(|m| m.parse()).collect();
        accounts.push(Account {
            name: r.name.parse().map_err(|_| unreadable("account"))?,
            models: models.map_err(|_| unreadable("model"))?,
        });
    }
    if accounts.is_empty() {
        return Err(Problem::new(
            Code::BudgetNever,
            format!("the account {provider} is retired and gets no more work"),
        )
        .remedy("give the task another provider, or add the account again: !subscription add")
        .into());
    }
    Ok(accounts)
}

/// The ladder in force, highest first.
pub(super) async fn ladder(exec: &mut Exec<'_>) -> Result<Vec<Name>, Stop> {
    let own = sqlx::query_scalar!(
        "SELECT model_ladder FROM fleet.settings WHERE tenant_id = $1",
        exec.tenant.as_str()
    )
    .fetch_one(&mut *exec.tx)
    .await?;
    let words = own.unwrap_or_else(|| LADDER.iter().map(|m| (*m).to_owned()).collect());
    let names: Result<Vec<Name>, _> = words.iter().map(|m| m.parse()).collect();
    Ok(names.map_err(|_| unreadable("model"))?)
}

/// The rungs a task may stand on: the model it asks for under the operator's ceiling, and what is below
/// on the ladder. A model that is not on the ladder stands alone.
pub(super) fn rungs(
    ladder: &[Name],
    asked: Option<&Name>,
    ceiling: Option<&Name>,
) -> Vec<Option<Name>> {
    let place = |m: &Name| ladder.iter().position(|l| l == m);
    let (Some(top), ceiling) = (asked.or(ceiling), ceiling) else {
        return vec![None];
    };
    let start = match (place(top), ceiling.and_then(place)) {
        (Some(asked), Some(ceiling)) => asked.max(ceiling),
        (Some(asked), None) => asked,
        (None, _) => return vec![Some(top.clone())],
    };
    ladder.iter().skip(start).cloned().map(Some).collect()
}

/// The offers of one rung, in the order of the accounts' names.
pub(super) fn on_rung(
    rung: usize,
    model: Option<&Name>,
    accounts: &[Account],
    scopes: &Scopes,
    gauges: &[Gauged],
) -> Vec<Offer> {
    let governs = |account: Option<&Name>, g: &Gauged| {
        let is_of_model = g.series.model.as_ref().is_none_or(|m| Some(m) == model);
        is_of_model && scopes.covers(account, &g.series)
    };
    let offer = |account: Option<&Name>| Offer {
        account: account.cloned(),
        model: model.cloned(),
        rung,
        series: (0..gauges.len())
            .filter(|i| governs(account, &gauges[*i]))
            .collect(),
    };
    if accounts.is_empty() {
        return vec![offer(None)];
    }
    let serving = accounts.iter().filter(|a| a.serves(model));
    serving.map(|a| offer(Some(&a.name))).collect()
}

/// Shows the model ladder.
pub(crate) async fn ladder_show(exec: &mut Exec<'_>, _: &verbs::LadderShow) -> Result<Reply, Stop> {
    Ok(Reply::Ladder(Changed::shown(ladder(exec).await?)))
}

/// Sets the model ladder.
pub(crate) async fn ladder_set(
    exec: &mut Exec<'_>,
    args: &verbs::LadderSet,
) -> Result<Reply, Stop> {
    exec.dry_run = args.dry_run;
    let mut once = args.models.clone();
    once.sort();
    once.dedup();
    if once.len() != args.models.len() {
        return Err(Problem::new(Code::Invalid, "a model stands on the ladder twice").into());
    }
    let words: Vec<String> = args.models.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "UPDATE fleet.settings SET model_ladder = $2 WHERE tenant_id = $1",
        exec.tenant.as_str(),
        &words
    )
    .execute(&mut *exec.tx)
    .await?;
    let detail = serde_json::json!({ "models": args.models });
    member::audit(exec, "budget.ladder", "models", detail).await?;
    Ok(Reply::Ladder(Changed::to("set", args.models.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_lowers_and_never_raises() {
        let name = |m: &str| m.parse::<Name>().unwrap();
        let ladder: Vec<Name> = LADDER.iter().map(|m| name(m)).collect();
        for (asked, ceiling, expected) in [
            (Some("opus"), None, "opus sonnet haiku"),
            (Some("opus"), Some("sonnet"), "sonnet haiku"),
            (Some("haiku"), Some("opus"), "haiku"),
            (None, Some("sonnet"), "sonnet haiku"),
            (Some("gpt-5"), Some("sonnet"), "gpt-5"),
            (None, None, "-"),
        ] {
            let (asked, ceiling) = (asked.map(name), ceiling.map(name));
            let rungs: Vec<_> = rungs(&ladder, asked.as_ref(), ceiling.as_ref())
                .into_iter()
                .map(|m| m.map_or("-".to_owned(), |m| m.to_string()))
                .collect();
            assert_eq!(rungs.join(" "), expected);
        }
    }
}
