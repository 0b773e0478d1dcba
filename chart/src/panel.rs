//! One chart: a title that says the figures, the window from its start to its reset, and four things in it.

use fleet_protocol::reply::ChartView;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::{
    BitMapBackend, Color as _, DrawingArea, PathElement, Polygon, RGBColor, Rectangle, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{ShapeStyle, TextStyle};

use super::scale::{Across, Up, short};
use super::{CARD, ChartError, FAMILY, HEIGHT, WIDTH};

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Point = (i32, i32);

const TEXT: RGBColor = RGBColor(0xf4, 0xf6, 0xfa);
const FAINT: RGBColor = RGBColor(0xb4, 0xbd, 0xcb);
const GRID: RGBColor = RGBColor(0x3d, 0x45, 0x52);
const SPENT: RGBColor = RGBColor(0x5a, 0xb0, 0xff);
const HELD: RGBColor = RGBColor(0xff, 0xc1, 0x4d);
const PLAN: RGBColor = RGBColor(0xd6, 0xdc, 0xe6);
const CAP: RGBColor = RGBColor(0xff, 0x6f, 0x6f);

/// Heights of letters. A phone shows a third of them, so that the smallest are 12 points there.
const TITLE: i32 = 46;
const LABEL: i32 = 36;
/// Characters of a title that a line holds, wide ones counted.
const TITLE_CHARS: usize = 42;

/// Edges of the plot within the panel.
const LEFT: i32 = 130;
const TOP: i32 = 150;

/// Draws a chart over the whole of an area.
pub(crate) fn draw(area: &Area<'_>, chart: &ChartView) -> Result<(), ChartError> {
    let (width, height) = (pixels(WIDTH), pixels(HEIGHT));
    let (right, bottom) = (width - 50, height - 130);
    let used = chart.spent.saturating_add(chart.held);
    let highest = chart.limit.max(used).max(1);
    let up = Up {
        // A line at the very edge is no line.
        most: highest.saturating_add(highest / 12),
        bottom,
        top: TOP,
    };
    let across = Across {
        from: chart.starts_at,
        to: chart.resets_at.unwrap_or(chart.at),
        left: LEFT,
        right,
    };
    heading(area, chart)?;
    axes(area, chart, across, up)?;
    spent(area, chart, across, up)?;
    limits(area, chart, across, up)?;
    legend(area, chart, height - 38)
}

fn pixels(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn style(size: i32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    TextStyle {
        font: (FAMILY, size).into(),
        color: color.to_backend_color(),
        pos: Pos::new(h, v),
    }
}

fn write(area: &Area<'_>, what: &str, at: Point, style: TextStyle<'_>) -> Result<(), ChartError> {
    Ok(area.draw(&Text::new(what.to_owned(), at, style))?)
}

/// As much of a title as a line holds.
fn cut(title: &str) -> String {
    match title.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => format!("{}…", title.get(..end).unwrap_or_default().trim_end()),
        None => title.to_owned(),
    }
}

/// Whose window it is, and its figures in words.
fn heading(area: &Area<'_>, chart: &ChartView) -> Result<(), ChartError> {
    let left = |size, color| style(size, color, HPos::Left, VPos::Top);
    write(area, &cut(&chart.title), (40, 28), left(TITLE, TEXT))?;
    let of = |n| short(n, chart.unit);
    let mut facts = format!("{} of {} spent", of(chart.spent), of(chart.limit));
    if chart.held > 0 {
        facts.push_str(&format!(", {} held", of(chart.held)));
    }
    if let Some(planned) = chart.planned {
        facts.push_str(&format!(", plan {}", of(planned)));
    }
    write(area, &facts, (40, 88), left(LABEL, FAINT))
}

/// Lines at nothing, half and all of the limit, and instants below.
fn axes(area: &Area<'_>, chart: &ChartView, across: Across, up: Up) -> Result<(), ChartError> {
    for amount in [0, chart.limit / 2, chart.limit] {
        let y = up.at(amount);
        let line = vec![(across.left, y), (across.right, y)];
        area.draw(&PathElement::new(line, GRID.stroke_width(2)))?;
        let right = style(LABEL, FAINT, HPos::Right, VPos::Center);
        write(
            area,
            &short(amount, chart.unit),
            (across.left - 16, y),
            right,
        )?;
    }
    for tick in &chart.ticks {
        let x = across.at(tick.at);
        let line = vec![(x, up.bottom), (x, up.bottom + 10)];
        area.draw(&PathElement::new(line, FAINT.stroke_width(2)))?;
        let below = style(LABEL, FAINT, HPos::Center, VPos::Top);
        write(area, &tick.label, (x, up.bottom + 16), below)?;
    }
    Ok(())
}

/// What was spent so far as a surface, and above its end what is held.
fn spent(area: &Area<'_>, chart: &ChartView, across: Across, up: Up) -> Result<(), ChartError> {
    let mut line: Vec<Point> = vec![(across.left, up.at(0))];
    let mut last = 0;
    for point in &chart.points {
        let x = across.at(point.at);
        // Spend comes in steps: between two reports nothing is known to grow.
        line.push((x, up.at(last)));
        line.push((x, up.at(point.spent)));
        last = point.spent;
    }
    let now = across.at(chart.at);
    line.push((now, up.at(last)));
    if last != chart.spent {
        line.push((now, up.at(chart.spent)));
    }
    let mut surface = line.clone();
    surface.extend([(now, up.bottom), (across.left, up.bottom)]);
    area.draw(&Polygon::new(surface, SPENT.mix(0.35).filled()))?;
    area.draw(&PathElement::new(line, SPENT.stroke_width(6)))?;
    if chart.held > 0 {
        let top = up.at(chart.spent.saturating_add(chart.held));
        let bar = [(now - 12, top), (now + 12, up.at(chart.spent))];
        area.draw(&Rectangle::new(bar, HELD.filled()))?;
    }
    let here = vec![(now, TOP), (now, up.bottom)];
    area.draw(&PathElement::new(here, FAINT.mix(0.6).stroke_width(2)))?;
    Ok(())
}

/// The planned line to the reset, and the cap.
fn limits(area: &Area<'_>, chart: &ChartView, across: Across, up: Up) -> Result<(), ChartError> {
    let y = up.at(chart.limit);
    if chart.planned.is_some() {
        let plan = [(across.left, up.bottom), (across.right, y)];
        dashed(area, &plan, PLAN.stroke_width(4))?;
    }
    let cap = vec![(across.left, y), (across.right, y)];
    area.draw(&PathElement::new(cap, CAP.stroke_width(5)))?;
    Ok(())
}

fn dashed(area: &Area<'_>, line: &[Point], style: ShapeStyle) -> Result<(), ChartError> {
    Ok(area.draw(&DashedPathElement::new(line.to_vec(), 18, 12, style))?)
}

/// What the colours mean; only what is there.
fn legend(area: &Area<'_>, chart: &ChartView, y: i32) -> Result<(), ChartError> {
    let entries = [
        ("spent", SPENT, true),
        ("held", HELD, chart.held > 0),
        ("plan", PLAN, chart.planned.is_some()),
        ("cap", CAP, true),
    ];
    let mut x = LEFT;
    for (word, color, _) in entries.into_iter().filter(|(_, _, is_there)| *is_there) {
        let swatch = [(x, y - 18), (x + 34, y + 8)];
        area.draw(&Rectangle::new(swatch, color.filled()))?;
        if word == "plan" {
            let gap = [(x + 13, y - 18), (x + 21, y + 8)];
            area.draw(&Rectangle::new(gap, CARD.filled()))?;
        }
        let beside = style(LABEL, TEXT, HPos::Left, VPos::Center);
        write(area, word, (x + 48, y), beside)?;
        x += 195;
    }
    Ok(())
}
