//! From what people type (`t142`, `this`) to the register's keys.

use fleet_protocol::Problem;
use fleet_protocol::ids::{Kind, Ref};
use fleet_protocol::problem::Code;
use uuid::Uuid;

use super::{Exec, Stop};

impl Exec<'_> {
    /// The register's key of what a reference points at.
    ///
    /// # Errors
    /// [`Code::NothingReferred`] for `this` where no message of such a thing is referred to;
    /// [`Code::NotFound`] for a number that the tenant does not have. A full id is not looked up.
    pub(crate) async fn resolve<K: Kind>(&mut self, reference: Ref<K>) -> Result<Uuid, Stop> {
        match reference {
            Ref::Id(id, _) => Ok(id),
            Ref::Short(number) => self.by_number(K::NOUN, number).await?.ok_or_else(|| {
                let short = format!("{}{number}", K::LETTER);
                Problem::new(Code::NotFound, format!("there is no {} {short}", K::NOUN))
                    .remedy(format!(
                        "see what there is with: !{}",
                        match K::NOUN {
                            "proposal" => "board list",
                            "incident" => "alert list",
                            "item" => "agent inbox",
                            "mission" => "mission list",
                            _ => "task list",
                        }
                    ))
                    .into()
            }),
            Ref::This => self.referred(K::NOUN).await?.ok_or_else(|| {
                Problem::new(
                    Code::NothingReferred,
                    format!(
                        "it does not say which {}, and the message replies to no {}'s message",
                        K::NOUN,
                        K::NOUN
                    ),
                )
                .remedy(format!(
                    "name it, for example {}12, or reply to its message",
                    K::LETTER
                ))
                .into()
            }),
        }
    }

    async fn by_number(&mut self, noun: &str, number: u32) -> Result<Option<Uuid>, sqlx::Error> {
        // One plain statement per kind: the table's name cannot be a parameter.
        let sql = match noun {
            "task" => "SELECT id FROM fleet.tasks WHERE tenant_id = $1 AND number = $2",
            "mission" => "SELECT id FROM fleet.missions WHERE tenant_id = $1 AND number = $2",
            "item" => "SELECT id FROM fleet.items WHERE tenant_id = $1 AND number = $2",
            "incident" => "SELECT id FROM fleet.incidents WHERE tenant_id = $1 AND number = $2",
            _ => "SELECT id FROM fleet.proposals WHERE tenant_id = $1 AND number = $2",
        };
        // A number beyond the column's range exists nowhere.
        let Ok(number) = i32::try_from(number) else {
            return Ok(None);
        };
        sqlx::query_scalar(sql)
            .bind(self.tenant.as_str())
            .bind(number)
            .fetch_optional(&mut *self.tx)
            .await
    }

    /// The thing of a kind whose message is replied to, or whose thread this stands in.
    async fn referred(&mut self, noun: &str) -> Result<Option<Uuid>, sqlx::Error> {
        let (reply_to, root) = (
            self.place.reply_to.as_deref(),
            self.place.thread_root.as_deref(),
        );
        if reply_to.is_none() && root.is_none() {
            return Ok(None);
        }
        let found = sqlx::query_scalar!(
            r#"SELECT subject_id AS "id!" FROM fleet.outbox
               WHERE tenant_id = $1 AND subject_kind = $2 AND event_id IN ($3, $4)
               ORDER BY (event_id = $3) DESC LIMIT 1"#,
            self.tenant.as_str(),
            noun,
            reply_to,
            root
        )
        .fetch_optional(&mut *self.tx)
        .await?;
        if found.is_some() || noun != "task" {
            return Ok(found);
        }
        // An incident that a task needs a person speaks of the task.
        sqlx::query_scalar!(
            r#"SELECT t.id FROM fleet.outbox o
               JOIN fleet.incidents i ON i.tenant_id = o.tenant_id AND i.id = o.subject_id AND i.rule LIKE 'task.%'
               JOIN fleet.tasks t ON t.tenant_id = i.tenant_id AND i.subject = 't' || t.number
               WHERE o.tenant_id = $1 AND o.subject_kind = 'incident' AND o.event_id IN ($2, $3)
               ORDER BY (o.event_id = $2) DESC LIMIT 1"#,
            self.tenant.as_str(),
            reply_to,
            root
        )
        .fetch_optional(&mut *self.tx)
        .await
    }
}
