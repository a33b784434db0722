//! Options that say what of this machine is used and watched.

use clap::Args;
use kring_runtime::{ShardPlacement, process};

use crate::host::cpu_time;
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

    /// A process that is not there would be missing from the result without a word.
    pub fn check(&self) -> Result<(), String> {
        let absent = self.pid.filter(|pid| cpu_time(*pid).is_none());
        absent.map_or(Ok(()), |pid| {
            Err(format!("--pid {pid}: there is no such process here, or its CPU time is not known"))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_there_is_refused_before_the_run() {
        let check = |pid| Machine { threads: None, cpus: Vec::new(), pid }.check();
        // Above what any kernel gives.
        assert!(check(Some(u32::MAX)).unwrap_err().contains("--pid"));
        assert_eq!((check(Some(process::pid())), check(None)), (Ok(()), Ok(())));
    }
}
