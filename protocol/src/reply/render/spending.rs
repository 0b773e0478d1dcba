//! Accounts, prices and sums of spend as people read them.

use super::budget;
use super::words::{cell, counted, or_dash, subject, with_notes};
use crate::document::{Document, bold, code, number, text};
use crate::reply::{Changed, PriceView, SpendReportView, SubscriptionView};
use crate::time::Reader;

pub(super) fn subscription(changed: &Changed<SubscriptionView>, reader: &Reader<'_>) -> Document {
    let s = &changed.now;
    let document = Document::new()
        .paragraph(subject(changed, &s.name))
        .list(facts(s).into_iter().map(|f| vec![text(f)]));
    let document = if s.windows.is_empty() {
        document
    } else {
        document.then(budget::windows(&s.windows, reader))
    };
    with_notes(document, &changed.notes)
}

fn facts(s: &SubscriptionView) -> Vec<String> {
    let provider = s.provider.as_ref().map(|p| format!("Provider: {p}"));
    let pool = s
        .pool
        .as_ref()
        .map(|p| format!("Shares its work in the pool {p}"));
    let retired = s.retired_at.map(|_| "Retired: gets no new work".to_owned());
    [
        provider,
        Some(format!("Models: {}", models(s))),
        pool,
        retired,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn models(s: &SubscriptionView) -> String {
    if s.models.is_empty() {
        return "all".to_owned();
    }
    let names: Vec<_> = s.models.iter().map(ToString::to_string).collect();
    names.join(", ")
}

pub(super) fn subscriptions(all: &[SubscriptionView]) -> Document {
    if all.is_empty() {
        return Document::new().paragraph([
            text("No provider account is known. To add one: "),
            code("!subscription add claude --provider claude"),
        ]);
    }
    let rows = all.iter().map(|s| {
        let state = if s.retired_at.is_some() {
            "retired"
        } else {
            "in use"
        };
        [
            vec![code(&s.name)],
            or_dash(s.provider.as_ref()),
            cell(models(s)),
            or_dash(s.pool.as_ref()),
            cell(state),
        ]
    });
    Document::new()
        .paragraph([bold(counted(all.len() as u64, "account"))])
        .table(["Account", "Provider", "Models", "Pool", "State"], rows)
}

/// `$3.00`: a price of millionths as dollars, to the cent above one cent.
fn dollars(micro: u64) -> String {
    let (whole, part) = (micro / 1_000_000, micro % 1_000_000);
    if part % 10_000 == 0 {
        format!("${}.{:02}", number(whole), part / 10_000)
    } else {
        format!("${}.{part:06}", number(whole))
    }
}

pub(super) fn price(changed: &Changed<PriceView>) -> Document {
    let p = &changed.now;
    let fact = format!(
        ": {} in, {} out, {} cache write, {} cache read for a million tokens; {}, {}",
        dollars(p.input),
        dollars(p.output),
        dollars(p.cache_write),
        dollars(p.cache_read),
        p.dated,
        p.source
    );
    let head = subject(changed, &p.model).into_iter().chain([text(fact)]);
    with_notes(Document::new().paragraph(head), &changed.notes)
}

pub(super) fn prices(all: &[PriceView]) -> Document {
    let rows = all.iter().map(|p| {
        [
            vec![code(&p.model)],
            cell(dollars(p.input)),
            cell(dollars(p.output)),
            cell(dollars(p.cache_read)),
            cell(format!("{}, {}", p.dated, p.source)),
        ]
    });
    Document::new()
        .paragraph([text("For a million tokens:")])
        .table(["Model", "Input", "Output", "Cache read", "From"], rows)
}

pub(super) fn report(view: &SpendReportView) -> Document {
    let head = Document::new().paragraph([bold(format!("Spend by {}", view.by))]);
    let document = if view.rows.is_empty() {
        head.paragraph([text("Nothing was spent.")])
    } else {
        head.table(
            [
                "What",
                "Tasks",
                "Projected",
                "Tokens",
                "Billed",
                "API equivalent",
            ],
            view.rows.iter().map(|r| {
                [
                    cell(&r.what),
                    cell(number(r.tasks)),
                    or_dash(r.projected_tokens.map(number)),
                    cell(number(r.tokens)),
                    cell(dollars(r.cash_usd_micro)),
                    cell(dollars(r.api_equivalent_usd_micro)),
                ]
            }),
        )
    };
    let Some(c) = view.calibration else {
        return document;
    };
    let granted = c.granted_over_actual_bp.map_or_else(String::new, |bp| {
        format!(
            "; granted {}.{:02} times the actual",
            bp / 10_000,
            bp % 10_000 / 100
        )
    });
    document.paragraph([text(format!(
        "Estimates: {}.{:02} % of the last {} tasks stayed within their p95 (good: 90 to 99 %){granted}",
        c.p95_bp / 100,
        c.p95_bp % 100,
        c.tasks
    ))])
}
