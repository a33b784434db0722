//! Options that say what of this machine is used and watched.

use clap::Args;
use kring_runtime::{ShardPlacement, process};

use crate::settings::Settings;

#[derive(Args, Debug)]
#[command(next_help_heading = "This machine")]
pub struct Machine {
    /// Threads, each with its own clients; as many as there are CPUs or clients unless told
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Pin the threads to these CPUs
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Report the CPU time of this process, the broker's for instance
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
}

impl Machine {
    pub fn apply(&self, settings: &mut Settings) {
        settings.pid = self.pid;
    }

    /// Threads for so many clients.
    pub fn threads(&self, clients: usize) -> usize {
        self.threads.map_or_else(|| process::cpus().len().max(1), usize::from).min(clients)
    }

    pub fn placement(&self) -> ShardPlacement {
        match self.cpus.is_empty() {
            true => ShardPlacement::Unpinned,
            false => ShardPlacement::Cpus(self.cpus.clone()),
        }
    }
}
