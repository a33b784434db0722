//! Options that say how long.

use std::time::Duration;

use clap::Args;

use crate::settings::{Settings, Workload};

#[derive(Args, Debug)]
pub struct Timing {
    /// Seconds that are measured
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// Seconds of load before them
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    warm_up: Duration,
}

impl Timing {
    pub fn apply(&self, settings: &mut Settings) {
        settings.duration = self.duration;
        settings.warm_up = if settings.workload == Workload::Consume { Duration::ZERO } else { self.warm_up };
    }
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is not a number of seconds"))?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    // A day: long enough, and times add up without overflow.
    if duration.as_secs() > 86_400 { Err("at most 86400".to_owned()) } else { Ok(duration) }
}
