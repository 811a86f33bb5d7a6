//! How the cost of a share grows: one thing at a time is made larger, everything else stays as in the case `full`.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::load::{self, Ask, Speaks};
use crate::peers;
use crate::world::{self, FULL, SMALL, Shape};

/// One thing that grows.
struct Curve {
    name: &'static str,
    sizes: &'static [usize],
    /// The world and the number of connections at a size.
    at: fn(usize) -> (Shape, usize),
    /// Divides the number of requests at a size.
    part: fn(usize) -> usize,
}

const CURVES: &[Curve] = &[
    Curve { name: "connections", sizes: &[1, 4, 16, 64, 256, 1_000, 4_000, 8_000], at: |n| (FULL, n), part: |_| 1 },
    Curve { name: "grants", sizes: &[10, 100, 1_000, 10_000, 100_000, 1_000_000], at: |n| (Shape { grants: n, ..FULL }, 32), part: |_| 1 },
    Curve { name: "policies", sizes: &[20, 100, 1_000, 10_000], at: |n| (Shape { policies: n, ..FULL }, 32), part: |_| 1 },
    Curve { name: "items", sizes: &[1, 5, 10, 50, 100, 250, 500], at: |n| (Shape { items: n, ..FULL }, 32), part: |n| 1 + n / 50 },
    Curve {
        name: "requesters",
        sizes: &[1, 100, 1_000, 4_000, 10_000, 30_000],
        at: |n| (Shape { requesters: n, ..FULL }, 32),
        part: |_| 1,
    },
    Curve { name: "records", sizes: &[1, 10, 100, 1_000, 4_000], at: |n| (Shape { records: n, ..FULL }, 8), part: |n| 1 + n / 20 },
];

/// One measured point.
struct Point {
    size: usize,
    micros: f64,
    ready: f64,
    memory: u64,
}

/// Measures the curves named in `arguments`, or all.
pub fn run(arguments: &[String], requests: usize) {
    let named: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let mut drawn = Vec::new();
    for curve in CURVES {
        if named.is_empty() || named.iter().any(|name| *name == curve.name) {
            let points: Vec<Point> = curve.sizes.iter().map(|size| point(curve, *size, requests)).collect();
            table(curve, &points);
            drawn.push((curve.name, points));
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/growth.svg");
    std::fs::write(&file, svg(&drawn)).expect("the plot");
    println!("drawn into {}", file.display());
}

fn point(curve: &Curve, size: usize, requests: usize) -> Point {
    let folder = std::env::temp_dir().join(format!("kanhe-growth-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let (shape, connections) = (curve.at)(size);
    let origin = peers::nginx_origin(&folder, &shape);
    let world = world::write(&folder, &origin.address, &shape);
    let began = Instant::now();
    let peer = peers::kanhe(&world);
    let ready = began.elapsed().as_secs_f64();
    let (address, tokens) = (peer.address.clone(), Arc::new(world.tokens));
    let ask = Ask { address, method: "GET", path: SMALL, tokens, status: 200, tls: None, speaks: Speaks::Http1 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let requests = (requests / (curve.part)(size)).max(200);
    let warm = (requests / 4).max(ask.tokens.len());
    let asked = |first, count| {
        let answered = runtime.block_on(load::closed(&ask, connections, first, count));
        answered.unwrap_or_else(|error| panic!("{} at {size}: {error}", curve.name));
    };
    asked(0, warm);
    let before = peer.processor_time();
    asked(warm, requests);
    let micros = (peer.processor_time() - before).as_secs_f64() * 1e6 / requests as f64;
    let memory = peer.memory();
    drop((peer, origin));
    std::fs::remove_dir_all(&folder).ok();
    Point { size, micros, ready, memory }
}

fn table(curve: &Curve, points: &[Point]) {
    println!(
        "\n### {}\n\n| {} | processor time per share | start to ready | resident |\n| --- | --- | --- | --- |",
        curve.name, curve.name
    );
    for Point { size, micros, ready, memory } in points {
        println!("| {size} | {micros:.1} µs | {ready:.2} s | {:.1} MiB |", *memory as f64 / 1024.0);
    }
}

/// Both axes logarithmic: a cost that does not grow is a level line.
fn svg(drawn: &[(&str, Vec<Point>)]) -> String {
    const COLOURS: [&str; 6] = ["#1b6ca8", "#c0392b", "#1e8449", "#8e44ad", "#b9770e", "#34495e"];
    let all = || drawn.iter().flat_map(|(_, points)| points);
    let widest = all().map(|point| point.size).max().unwrap_or(1).max(10) as f64;
    let (low, high) = all().fold((f64::MAX, 0_f64), |(low, high), point| (low.min(point.micros), high.max(point.micros)));
    let (bottom, top) = (low.log10().floor(), high.log10().ceil());
    let x = |size: f64| 70.0 + 560.0 * size.log10() / widest.log10().ceil();
    let y = |micros: f64| 370.0 - 340.0 * (micros.log10() - bottom) / (top - bottom).max(1.0);
    let mut text = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 420\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"800\" height=\"420\" fill=\"white\"/>\n",
    );
    for decade in 0..=widest.log10().ceil() as i32 {
        let (at, label) = (x(10_f64.powi(decade)), 10_u64.pow(decade as u32));
        let _ = writeln!(
            text,
            "<path d=\"M{at:.0} 30V370\" stroke=\"#ddd\"/><text x=\"{at:.0}\" y=\"388\" text-anchor=\"middle\">{label}</text>"
        );
    }
    for decade in bottom as i32..=top as i32 {
        let (at, label) = (y(10_f64.powi(decade)), 10_u64.pow(decade.max(0) as u32));
        let _ = writeln!(
            text,
            "<path d=\"M70 {at:.0}H630\" stroke=\"#ddd\"/><text x=\"62\" y=\"{:.0}\" text-anchor=\"end\">{label} µs</text>",
            at + 4.0
        );
    }
    for ((name, points), colour) in drawn.iter().zip(COLOURS.iter().cycle()) {
        let line: Vec<String> = points.iter().map(|point| format!("{:.1},{:.1}", x(point.size as f64), y(point.micros))).collect();
        let _ = writeln!(text, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", line.join(" "));
        if let Some(last) = points.last() {
            let (at, height) = (x(last.size as f64) + 6.0, y(last.micros) + 4.0);
            let _ = writeln!(text, "<text x=\"{at:.0}\" y=\"{height:.0}\" fill=\"{colour}\">{name}</text>");
        }
    }
    text.push_str("<text x=\"350\" y=\"410\" text-anchor=\"middle\">size, and processor time per share</text>\n</svg>\n");
    text
}
