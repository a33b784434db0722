//! Options that say how long.

use std::time::Duration;

use clap::Args;

use crate::settings::{Settings, Workload};

/// A count should be reached before; a broker that hangs should not keep the run for ever.
const DURATION_OF_A_COUNT: Duration = Duration::from_secs(3600);

#[derive(Args, Debug)]
pub struct Timing {
    /// Seconds that are measured [default: 10, or an hour with --count]
    #[arg(long, value_name = "S", value_parser = seconds)]
    duration: Option<Duration>,
    /// End after so many measured records of all clients together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Seconds of load before what is measured
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    warm_up: Duration,
}

impl Timing {
    pub fn apply(&self, settings: &mut Settings) {
        let usual = if self.count.is_some() { DURATION_OF_A_COUNT } else { settings.duration };
        settings.duration = self.duration.unwrap_or(usual);
        settings.count = self.count;
        settings.warm_up = if settings.workload == Workload::Consume { Duration::ZERO } else { self.warm_up };
    }
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is not a number of seconds"))?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    // A day: long enough, and times add up without overflow.
    if duration.as_secs() > 86_400 { Err("at most 86400".to_owned()) } else { Ok(duration) }
}
