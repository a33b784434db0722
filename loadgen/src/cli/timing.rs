//! Options that say how long.

use std::time::Duration;

use clap::Args;
use kring_runtime::wall_ms;

use crate::settings::Settings;

/// A count should be reached before; a broker that hangs should not keep the run for ever.
const DURATION_OF_A_COUNT: Duration = Duration::from_secs(3600);

#[derive(Args, Debug)]
#[command(next_help_heading = "Time")]
pub struct Timing {
    /// Seconds that are measured [default: 10]
    #[arg(long, value_name = "S", value_parser = some_time)]
    duration: Option<Duration>,
    /// Start at this Unix time in seconds, or so long from now (+5s): instances with one start time add up
    #[arg(long, value_name = "TIME", value_parser = start)]
    start_at: Option<StartAt>,
}

/// Of workloads that handle records.
#[derive(Args, Debug)]
#[command(next_help_heading = "Time")]
pub struct Counting {
    /// End after so many measured records of all clients together, or after --duration, an hour unless told
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Of workloads that produce.
#[derive(Args, Debug)]
#[command(next_help_heading = "Time")]
pub struct WarmingUp {
    /// Seconds of load before what is measured
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    warm_up: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum StartAt {
    Unix(Duration),
    In(Duration),
}

impl StartAt {
    fn to_wall_ms(self) -> u64 {
        let time = match self {
            StartAt::Unix(time) => time,
            StartAt::In(time) => Duration::from_millis(wall_ms().unsigned_abs()) + time,
        };
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Later than any clock here will show.
const LAST_UNIX_S: f64 = 1e11;

fn start(text: &str) -> Result<StartAt, String> {
    match text.strip_prefix('+') {
        Some(text) => seconds(text.strip_suffix('s').unwrap_or(text)).map(StartAt::In),
        None => match text.parse::<f64>() {
            Ok(time) if (0.0..LAST_UNIX_S).contains(&time) => {
                Ok(StartAt::Unix(Duration::from_secs_f64(time)))
            }
            _ => Err(format!("{text} is neither a Unix time in seconds nor such as +5s")),
        },
    }
}

impl Timing {
    pub fn apply(&self, settings: &mut Settings) {
        settings.duration = self.duration.unwrap_or(settings.duration);
        settings.start_at = self.start_at.map(StartAt::to_wall_ms);
        // Where it is not an option, everything is measured from the start.
        settings.warm_up = Duration::ZERO;
    }
}

impl Counting {
    pub fn apply(&self, timing: &Timing, settings: &mut Settings) {
        settings.count = self.count;
        if self.count.is_some() && timing.duration.is_none() {
            settings.duration = DURATION_OF_A_COUNT;
        }
    }
}

impl WarmingUp {
    pub fn apply(&self, settings: &mut Settings) {
        settings.warm_up = self.warm_up;
    }
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is not a number of seconds"))?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    // A day: long enough, and times add up without overflow.
    if duration.as_secs() > 86_400 { Err("at most 86400".to_owned()) } else { Ok(duration) }
}

pub fn some_time(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|time| if time.is_zero() { Err("more than 0".to_owned()) } else { Ok(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_unix_time_or_a_while_from_now() {
        assert_eq!(start("+5s"), Ok(StartAt::In(Duration::from_secs(5))));
        assert_eq!(start("+0.5"), Ok(StartAt::In(Duration::from_millis(500))));
        assert_eq!(start("1700000000.25").map(StartAt::to_wall_ms), Ok(1_700_000_000_250));
        assert!(start("soon").is_err() && start("-5").is_err() && start("1e30").is_err());
        assert!(StartAt::In(Duration::from_secs(5)).to_wall_ms() > 1_700_000_000_000);
    }
}
