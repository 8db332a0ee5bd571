//! Line charts as SVG, with logarithmic axes. They are written to the folder `CHARTS`, if that is set.

use std::fmt::Write;
use std::path::Path;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 300.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 44.0;
/// For the numbers of the y axis, and for the names at the ends of the lines.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 76.0;
const LINE_HEIGHT: f64 = 15.0;

const STYLE: &str = "svg { --ink: #1f2328; --soft: #656d76; --line: #d0d7de; --c0: #0550ae; --c1: #953800; --c2: #116329 }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --c0: #79c0ff; --c1: #ffa657; --c2: #7ee787 }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--soft) }
  .title { font-weight: 600; fill: var(--ink) }
  .grid { stroke: var(--line) }
  polyline { fill: none; stroke-width: 2 }
  .dashed { stroke-dasharray: 5 4; stroke-width: 1.2 }
  .c0 { stroke: var(--c0) } .c1 { stroke: var(--c1) } .c2 { stroke: var(--c2) }
  text.c0 { fill: var(--c0); stroke: none } text.c1 { fill: var(--c1); stroke: none } text.c2 { fill: var(--c2); stroke: none }";

/// Points of one line, in ascending order of their first values. All values are above zero.
pub(crate) struct Series {
    pub(crate) name: String,
    /// Series of one color belong together.
    pub(crate) color: usize,
    pub(crate) dashed: bool,
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) series: Vec<Series>,
}

/// Writes the panels side by side, each with its own axes.
pub(crate) fn write(name: &str, description: &str, panels: &[Panel]) {
    let Some(folder) = std::env::var_os("CHARTS") else { return };
    let path = Path::new(&folder).join(name);
    std::fs::write(&path, svg(description, panels)).unwrap();
    println!("\nwrote {}", path.display());
}

fn svg(description: &str, panels: &[Panel]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>{description}</title>\n<style>\n  {STYLE}\n</style>\n"
    );
    let width = WIDTH / panels.len() as f64;
    for (number, panel) in panels.iter().enumerate() {
        draw(&mut svg, panel, width * number as f64, width);
    }
    svg + "</svg>\n"
}

/// A logarithmic axis between two places of the picture.
struct Axis {
    from: f64,
    to: f64,
    places: (f64, f64),
}

impl Axis {
    /// From the power of ten at or below the lowest value to the one at or above the highest.
    fn over(values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let (low, high) =
            values.fold((f64::MAX, f64::MIN), |(low, high), it| (low.min(it), high.max(it)));
        let (from, to) = (low.log10().floor(), high.log10().ceil());
        Self { from, to: to.max(from + 1.0), places }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - self.from) / (self.to - self.from);
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    fn powers(&self) -> impl Iterator<Item = f64> {
        let powers = std::iter::successors(Some(self.from), |power| Some(power + 1.0));
        powers.take_while(|power| *power <= self.to).map(|power| 10_f64.powf(power))
    }
}

fn draw(svg: &mut String, panel: &Panel, start: f64, width: f64) {
    let points = || panel.series.iter().flat_map(|series| series.points.iter().copied());
    let x = Axis::over(points().map(|it| it.0), (start + LEFT, start + width - RIGHT));
    let y = Axis::over(points().map(|it| it.1), (HEIGHT - BOTTOM, TOP));
    let (left, right) = x.places;
    let (bottom, top) = y.places;
    let title = &panel.title;
    writeln!(svg, "<text class=\"title\" x=\"{left:.0}\" y=\"20\">{title}</text>").unwrap();
    for value in y.powers() {
        let at = y.place(value);
        writeln!(svg, "<path class=\"grid\" d=\"M{left:.0} {at:.0}H{right:.0}\"/>").unwrap();
        let (at, left) = (at + 4.0, left - 8.0);
        writeln!(
            svg,
            "<text text-anchor=\"end\" x=\"{left:.0}\" y=\"{at:.0}\">{}</text>",
            short(value)
        )
        .unwrap();
    }
    for value in x.powers() {
        let at = x.place(value);
        writeln!(svg, "<path class=\"grid\" d=\"M{at:.0} {bottom:.0}V{top:.0}\"/>").unwrap();
        let below = bottom + 16.0;
        writeln!(
            svg,
            "<text text-anchor=\"middle\" x=\"{at:.0}\" y=\"{below:.0}\">{}</text>",
            short(value)
        )
        .unwrap();
    }
    let (middle, below) = (f64::midpoint(left, right), bottom + 34.0);
    writeln!(
        svg,
        "<text text-anchor=\"middle\" x=\"{middle:.0}\" y=\"{below:.0}\">{}</text>",
        panel.x
    )
    .unwrap();
    let mut names = Vec::new();
    for Series { name, color, dashed, points } in &panel.series {
        let line: Vec<_> =
            points.iter().map(|it| format!("{:.1},{:.1}", x.place(it.0), y.place(it.1))).collect();
        let dashed = if *dashed { " dashed" } else { "" };
        writeln!(svg, "<polyline class=\"c{color}{dashed}\" points=\"{}\"/>", line.join(" "))
            .unwrap();
        if let Some(last) = points.last().filter(|_| !name.is_empty()) {
            names.push((y.place(last.1) + 4.0, x.place(last.0) + 6.0, color, name));
        }
    }
    // Names that would overlap move down.
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = f64::MIN;
    for (at, right, color, name) in names {
        let at = at.max(free);
        free = at + LINE_HEIGHT;
        writeln!(svg, "<text class=\"c{color}\" x=\"{right:.0}\" y=\"{at:.0}\">{name}</text>")
            .unwrap();
    }
}

/// A power of ten.
fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e3.. => format!("{} k", value / 1e3),
        _ => format!("{value}"),
    }
}
