//! Results as pictures: SVG without scripts, in light and dark. Pure: values in, text out.
//!
//! | module | job |
//! |---|---|
//! | `axis` | from values to places, and where the ticks are |
//! | `chart` | axes, lines and a legend as SVG |
//! | `svg` | elements, escaping, the style sheet |
//! | `distribution` | latency by percentile |
//! | `curve` | latency against rate |
//! | `history` | rate, latency and own CPU over time |

pub mod axis;
pub mod chart;
pub mod curve;
pub mod distribution;
pub mod history;
pub mod svg;

use crate::report::Report;
use chart::Chart;

/// All charts of these runs, in the order of a page.
pub fn charts(runs: &[Report]) -> Vec<Chart> {
    let distributions = distribution::charts(runs);
    distributions.into_iter().chain(history::charts(runs)).collect()
}
