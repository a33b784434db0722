//! How large records are. Pure: the size of a record depends only on its place in the run, so that who receives it
//! knows what was sent.
//!
//! | form | sizes |
//! |---|---|
//! | `1024` | always that |
//! | `100..2000` | all from 100 to 2000 alike |
//! | `p50=300,p99=2000,max=10000` | from `min` (28 unless given) to `max`, straight lines between the quantiles |

use std::fmt;
use std::str::FromStr;

use crate::random::unit;
use crate::stamp::STAMP_BYTES;

/// Larger records fit in no batch of ours.
const MOST_BYTES: usize = 256 << 20;

/// A distribution of sizes in bytes, by its quantiles: rising shares of the records, and the size that they stay
/// within. The first is share 0, the last share 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    quantiles: Vec<(f64, usize)>,
    text: String,
}

impl Sizes {
    pub fn fixed(bytes: usize) -> Sizes {
        Sizes { quantiles: vec![(0.0, bytes), (1.0, bytes)], text: bytes.to_string() }
    }

    pub fn smallest(&self) -> usize {
        self.quantiles[0].1
    }

    pub fn largest(&self) -> usize {
        self.quantiles[self.quantiles.len() - 1].1
    }

    /// The size that belongs to these random bits.
    pub fn of(&self, bits: u64) -> usize {
        if self.smallest() == self.largest() {
            return self.smallest();
        }
        let share = unit(bits);
        let above = self.quantiles.partition_point(|(quantile, _)| *quantile <= share);
        let ((low, from), (high, to)) = (self.quantiles[above - 1], self.quantiles[above]);
        let width = (to - from) as f64 + if above + 1 == self.quantiles.len() { 1.0 } else { 0.0 };
        (from + ((share - low) / (high - low) * width) as usize).min(to)
    }

    fn checked(quantiles: Vec<(f64, usize)>, text: &str) -> Result<Sizes, String> {
        let rising = quantiles.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        if !rising {
            return Err("sizes rise with their quantiles".to_owned());
        }
        let sizes = Sizes { quantiles, text: text.to_owned() };
        if sizes.smallest() < STAMP_BYTES {
            return Err(format!("a record has at least {STAMP_BYTES} bytes: they say when it was sent"));
        }
        if sizes.largest() > MOST_BYTES {
            return Err(format!("a record has at most {MOST_BYTES} bytes"));
        }
        Ok(sizes)
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Sizes, String> {
        if let Some((from, to)) = text.split_once("..") {
            Sizes::checked(vec![(0.0, bytes(from)?), (1.0, bytes(to)?)], text)
        } else if text.contains('=') {
            Sizes::checked(quantiles(text)?, text)
        } else {
            let size = bytes(text)?;
            Sizes::checked(vec![(0.0, size), (1.0, size)], text)
        }
    }
}

fn bytes(text: &str) -> Result<usize, String> {
    text.trim().parse().map_err(|_| format!("{text} is not a number of bytes"))
}

fn quantiles(text: &str) -> Result<Vec<(f64, usize)>, String> {
    let mut quantiles = Vec::new();
    for point in text.split(',') {
        let (name, size) = point.split_once('=').ok_or_else(|| format!("{point} is not p50=BYTES"))?;
        quantiles.push((share(name.trim())?, bytes(size)?));
    }
    if quantiles[0].0 > 0.0 {
        quantiles.insert(0, (0.0, STAMP_BYTES));
    }
    match quantiles.last() {
        Some((share, _)) if *share >= 1.0 => Ok(quantiles),
        _ => Err("the largest size is missing: max=BYTES".to_owned()),
    }
}

fn share(name: &str) -> Result<f64, String> {
    let percent = match name {
        "min" => Some(0.0),
        "max" => Some(100.0),
        _ => name.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok()),
    };
    let inside = percent.filter(|percent| (0.0..=100.0).contains(percent));
    inside.map(|percent| percent / 100.0).ok_or_else(|| format!("{name} is none of min, p50, p99.9, …, max"))
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn drawn(text: &str) -> Vec<usize> {
        let sizes: Sizes = text.parse().unwrap();
        let mut random = Random::new(3, 0);
        let mut drawn: Vec<_> = (0..100_000).map(|_| sizes.of(random.next_u64())).collect();
        drawn.sort_unstable();
        drawn
    }

    #[test]
    fn one_size_is_always_that() {
        let drawn = drawn("1024");
        assert_eq!((drawn[0], drawn[99_999]), (1024, 1024));
    }

    #[test]
    fn a_range_is_even_and_holds_both_its_ends() {
        let drawn = drawn("100..109");
        assert_eq!((drawn[0], drawn[99_999]), (100, 109));
        let at_the_end = drawn.iter().filter(|size| **size == 109).count();
        assert!((9_000..11_000).contains(&at_the_end), "{at_the_end}");
    }

    #[test]
    fn quantiles_are_met() {
        let drawn = drawn("p50=300,p99=2000,max=10000");
        let close = |found: usize, wanted: f64| (found as f64 / wanted - 1.0).abs() < 0.03;
        assert!(close(drawn[50_000], 300.0), "{}", drawn[50_000]);
        assert!(close(drawn[99_000], 2000.0), "{}", drawn[99_000]);
        assert!(drawn[0] >= STAMP_BYTES && drawn[99_999] <= 10_000);
        assert!(drawn[25_000] > 100 && drawn[25_000] < 220, "{}", drawn[25_000]);
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        for text in [
            "",
            "x",
            "27",
            "2000..100",
            "10..100",
            "p50=300",
            "p99=10,p50=300,max=400",
            "q=1",
            "p101=1,max=2",
        ] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
        assert!("min=50,p50=50,max=50".parse::<Sizes>().is_ok());
    }
}
