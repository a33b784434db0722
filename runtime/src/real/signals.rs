//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends the process at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::channel::Event;

struct Asked {
    flag: AtomicBool,
    event: Event,
}

static ASKED: OnceLock<Asked> = OnceLock::new();

/// Installs the handlers, once, on first use.
fn asked() -> &'static Asked {
    ASKED.get_or_init(|| {
        let mut signals = match Signals::new([SIGINT, SIGTERM]) {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(%error, "signals cannot be handled: the process will end without closing its logs");
                return Asked { flag: AtomicBool::new(false), event: Event::new() };
            }
        };
        let spawned = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for (seen, signal) in signals.forever().enumerate() {
                if seen > 0 {
                    signal_hook::low_level::exit(128 + signal);
                }
                let asked = ASKED.wait();
                asked.flag.store(true, Ordering::SeqCst);
                asked.event.notify_all();
            }
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "signals are not watched: the process will not end by them");
        }
        Asked { flag: AtomicBool::new(false), event: Event::new() }
    })
}

pub(crate) async fn shutdown() {
    let asked = asked();
    let listener = asked.event.listen();
    if !asked.flag.load(Ordering::SeqCst) {
        listener.await;
    }
}
