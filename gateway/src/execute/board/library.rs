//! Templates and personas: the fleet's own files over the built-in ones.

use std::collections::BTreeMap;

use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Name;
use fleet_protocol::template::{self, Persona, Template};
use fleet_protocol::verbs::board::{Personas, ProposalKind};
use fleet_protocol::{Problem, Reply};

use crate::execute::files::{own, unusable};
use crate::execute::{Exec, Stop, role};

/// Every template by name.
pub(super) async fn templates(exec: &mut Exec<'_>) -> Result<BTreeMap<Name, Template>, Stop> {
    let mut all = template::templates().map_err(unusable)?;
    // What another template of the fleet's own is usual for, no built-in one is.
    for (name, own) in own(exec, "template", Template::read).await? {
        for other in all.values_mut() {
            other.kinds.retain(|k| !own.kinds.contains(k));
        }
        all.insert(name, own);
    }
    Ok(all)
}

/// The template of a name, else the usual one of a kind.
pub(super) async fn template(
    exec: &mut Exec<'_>,
    name: Option<&Name>,
    kind: ProposalKind,
) -> Result<Template, Stop> {
    let mut all = templates(exec).await?;
    match name {
        Some(name) => all.remove(name).ok_or_else(|| {
            let names: Vec<&str> = all.keys().map(Name::as_str).collect();
            Problem::new(Code::NotFound, format!("there is no template {name}"))
                .remedy(format!("the templates are: {}", names.join(", ")))
                .into()
        }),
        None => {
            let usual = all.into_values().find(|t| t.kinds.contains(&kind));
            usual.ok_or_else(|| {
                Problem::new(
                    Code::Invalid,
                    format!("no template is usual for proposals of kind {kind}"),
                )
                .remedy("name one with --template; see them with: !board templates")
                .into()
            })
        }
    }
}

/// Shows one persona, or all.
pub(crate) async fn personas(exec: &mut Exec<'_>, args: &Personas) -> Result<Reply, Stop> {
    let mut all = template::personas().map_err(unusable)?;
    all.extend(own(exec, "persona", Persona::read).await?);
    Ok(Reply::Personas(match &args.persona {
        Some(name) => role::one("persona", all, name)?,
        None => all,
    }))
}
