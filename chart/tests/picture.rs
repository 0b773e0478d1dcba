//! A picture is a PNG of a known size, the same for the same figures, whatever they are.

use fleet_chart::{ChartError, HEIGHT, MOST, WIDTH, picture};
use fleet_protocol::Timestamp;
use fleet_protocol::reply::{ChartPoint, ChartTick, ChartView};
use fleet_protocol::verbs::budget::Unit;

fn hour(n: i64) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000 + n * 3_600_000)
}

fn chart() -> ChartView {
    ChartView {
        title: "claude weekly".into(),
        unit: Unit::Tokens,
        limit: 2_000_000,
        spent: 1_150_000,
        held: 120_000,
        planned: Some(952_000),
        starts_at: hour(0),
        resets_at: Some(hour(168)),
        at: hour(80),
        ticks: vec![ChartTick {
            at: hour(84),
            label: "Tue 24".into(),
        }],
        points: vec![ChartPoint {
            at: hour(40),
            spent: 600_000,
        }],
    }
}

#[test]
fn the_same_figures_make_the_same_png_and_others_another() {
    let one = picture(&[chart()]).unwrap();
    assert_eq!(one.png.get(..8), Some(&b"\x89PNG\r\n\x1a\n"[..]));
    assert_eq!((one.width, one.height), (WIDTH, HEIGHT));
    assert_eq!(picture(&[chart()]).unwrap(), one);
    let more = ChartView {
        spent: 1_900_000,
        ..chart()
    };
    assert_ne!(picture(&[more]).unwrap(), one);
}

#[test]
fn charts_stand_one_below_the_other_up_to_the_most() {
    let two = picture(&[chart(), chart()]).unwrap();
    assert_eq!(two.height, 2 * HEIGHT);
    let many = picture(&vec![chart(); MOST + 3]).unwrap();
    assert_eq!(many.height, HEIGHT * u32::try_from(MOST).unwrap());
    assert!(matches!(picture(&[]), Err(ChartError::Nothing)));
}

#[test]
fn figures_at_the_edge_are_drawn_as_well() {
    let edges = [
        ChartView {
            limit: 0,
            spent: 0,
            held: 0,
            planned: None,
            points: Vec::new(),
            ticks: Vec::new(),
            ..chart()
        },
        ChartView {
            limit: u64::MAX,
            spent: u64::MAX,
            held: u64::MAX,
            ..chart()
        },
        ChartView {
            starts_at: hour(0),
            resets_at: Some(hour(0)),
            at: hour(0),
            ..chart()
        },
        ChartView {
            title: "a window that somebody gave a very long name, ".repeat(20),
            ..chart()
        },
    ];
    for edge in edges {
        picture(&[edge]).unwrap();
    }
}
