//! Items as the register has them, and as they are shown.

use fleet_protocol::Problem;
use fleet_protocol::address::Endpoint;
use fleet_protocol::event::Chain;
use fleet_protocol::problem::Code;
use fleet_protocol::reply::ItemView;
use fleet_protocol::verbs::inbox::Class;
use uuid::Uuid;

use super::super::task::known;
use super::super::{Exec, Stop};
use crate::db;

/// What an answer needs to know of an item.
pub(super) struct Item {
    pub(super) agent: Option<Uuid>,
    pub(super) from_agent: Option<Uuid>,
    pub(super) from: Endpoint,
    pub(super) to: Endpoint,
    pub(super) sender: String,
    pub(super) task: Option<Uuid>,
    pub(super) chain: Uuid,
    pub(super) hop: i32,
    pub(super) room: Option<Uuid>,
}

/// An item that may be answered.
pub(super) async fn item(exec: &mut Exec<'_>, id: Uuid) -> Result<Item, Stop> {
    let row = sqlx::query!(
        "SELECT agent_id, from_agent, from_host, from_name, to_host, to_name, sender, task_id, chain_id, hop, room
         FROM fleet.items WHERE tenant_id = $1 AND id = $2",
        exec.tenant.as_str(),
        id
    )
    .fetch_optional(&mut *exec.tx)
    .await?
    .ok_or_else(|| missing(id))?;
    Ok(Item {
        agent: row.agent_id,
        from_agent: row.from_agent,
        from: endpoint(&row.from_host, &row.from_name)?,
        to: endpoint(&row.to_host, &row.to_name)?,
        sender: row.sender,
        task: row.task_id,
        chain: row.chain_id,
        hop: row.hop,
        room: row.room,
    })
}

fn missing(id: Uuid) -> Problem {
    Problem::new(Code::NotFound, format!("there is no item {id}"))
        .remedy("see what there is with: !agent inbox")
}

fn endpoint(host: &str, name: &str) -> Result<Endpoint, Stop> {
    Ok(Endpoint {
        host: known("host", host.parse().ok())?,
        name: known("name", name.parse().ok())?,
    })
}

/// One item.
pub(super) async fn one(exec: &mut Exec<'_>, id: Uuid) -> Result<ItemView, Stop> {
    let view = load(exec, &[id]).await?.pop();
    Ok(view.ok_or_else(|| missing(id))?)
}

/// Items in the order in which they were said.
pub(super) async fn load(exec: &mut Exec<'_>, ids: &[Uuid]) -> Result<Vec<ItemView>, Stop> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"SELECT i.number, i.from_host, i.from_name, i.to_host, i.to_name, i.class, i.text, i.sender, i.sent_at, i.chain_id, i.hop,
                  i.deliveries, i.reminded_at IS NOT NULL AS "reminded!", i.acknowledged_at, a.number AS "answers?", t.number AS "task?"
           FROM fleet.items i
           LEFT JOIN fleet.items a ON a.tenant_id = i.tenant_id AND a.id = i.reply_to
           LEFT JOIN fleet.tasks t ON t.tenant_id = i.tenant_id AND t.id = i.task_id
           WHERE i.tenant_id = $1 AND i.id = ANY ($2) ORDER BY i.number"#,
        exec.tenant.as_str(),
        ids
    )
    .fetch_all(&mut *exec.tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(ItemView {
                id: format!("n{}", r.number),
                from: endpoint(&r.from_host, &r.from_name)?,
                to: endpoint(&r.to_host, &r.to_name)?,
                class: known("class", Class::from_word(&r.class))?,
                text: r.text,
                sender: r.sender,
                sent_at: db::instant(r.sent_at),
                chain: Chain {
                    id: r.chain_id,
                    hop: r.hop.unsigned_abs(),
                },
                reply_to: r.answers.map(|n| format!("n{n}")),
                task: r.task.map(|n| format!("t{n}")),
                deliveries: u64::from(r.deliveries.unsigned_abs()),
                reminder: r.reminded && r.acknowledged_at.is_none(),
                acknowledged_at: r.acknowledged_at.map(db::instant),
            })
        })
        .collect()
}
