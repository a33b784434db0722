//! `kring start`: options and file become a configuration, log lines go to standard error, the broker runs.

use std::io::IsTerminal;
use std::path::Path;

use kring_runtime::process;
use tracing_subscriber::EnvFilter;

use super::args::StartArgs;
use crate::boot::{self, Plan};
use crate::config::{BrokerConfig, ConfigNotice, Flags, properties_file};

pub(super) fn run(args: StartArgs) -> Result<(), String> {
    log_to_stderr();
    let (config, notices) = configure(&args)?;
    notices.iter().for_each(tell);
    let plan = Plan { config, ready_file: args.ready_file, cpus: process::cpus(), greet: Some(program()) };
    tell_of_crowding(&plan);
    boot::start(plan).map_err(|error| error.to_string())
}

/// Shards poll: two on one CPU take turns, and each waits for the other's.
fn tell_of_crowding(plan: &Plan) {
    let (shards, cpus) = (plan.config.node.shards, plan.cpus.len());
    if shards.is_some_and(|shards| shards > cpus) {
        tracing::warn!(
            shards,
            cpus,
            "there are more shards than CPUs that this process may use; they share them"
        );
    }
}

/// As the user typed it: what the greeting tells to try then works as it stands.
fn program() -> String {
    std::env::args_os().next().map_or_else(|| "kring".to_string(), |name| name.to_string_lossy().into_owned())
}

fn configure(args: &StartArgs) -> Result<(BrokerConfig, Vec<ConfigNotice>), String> {
    let path = args.config.as_ref().map(|path| path.display().to_string());
    let text = args.config.as_deref().map(read).transpose()?;
    let file = path.as_deref().zip(text.as_deref());
    let flags = Flags {
        data_dir: args.data_dir.as_ref().map(|dir| dir.display().to_string()),
        listen: args.listen.clone(),
        shards: args.shards,
    };
    BrokerConfig::from_sources(file, &args.overrides, &flags).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<String, String> {
    process::read_bytes(path)
        .map(|bytes| properties_file::decode(&bytes))
        .map_err(|error| format!("the configuration {} cannot be read: {error}", path.display()))
}

fn tell(notice: &ConfigNotice) {
    match notice {
        ConfigNotice::Unknown { .. } | ConfigNotice::NotAdvertised { .. } => tracing::warn!("{notice}"),
        ConfigNotice::NotNeeded { .. } => tracing::info!("{notice}"),
    }
}

/// `KRING_LOG` chooses what is logged, in the usual filter syntax.
fn log_to_stderr() {
    let wish = std::env::var("KRING_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&wish).ok().filter(|_| wish.split(',').all(is_directive));
    let is_understood = filter.is_some();
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    if !is_understood {
        tracing::warn!(
            "KRING_LOG={wish} is not understood: info is used (error, warn, info, debug, trace, or MODULE=LEVEL)"
        );
    }
}

/// Whether this part of a filter is a level, or says for which module it is one: a level that is misspelt would be a module
/// of which all is logged, and of the others nothing.
fn is_directive(part: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let part = part.trim();
    part.contains(['=', '['])
        || part.starts_with("kring")
        || LEVELS.contains(&part.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_names_a_module() {
        for good in ["info", "WARN", "off", "kring_storage", "kring_broker=debug", "info,glommio=trace"] {
            assert!(good.split(',').all(is_directive), "{good}");
        }
        assert!(!is_directive("debgu") && !is_directive(""));
    }
}
