//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends the process at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::channel::Event;

struct Asked {
    /// The first signal that came; 0 before.
    signal: AtomicI32,
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
                return Asked { signal: AtomicI32::new(0), event: Event::new() };
            }
        };
        let spawned = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for (seen, signal) in signals.forever().enumerate() {
                if seen > 0 {
                    signal_hook::low_level::exit(128 + signal);
                }
                let asked = ASKED.wait();
                asked.signal.store(signal, Ordering::SeqCst);
                asked.event.notify_all();
            }
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "signals are not watched: the process will not end by them");
        }
        Asked { signal: AtomicI32::new(0), event: Event::new() }
    })
}

pub(crate) async fn shutdown() {
    let asked = asked();
    let listener = asked.event.listen();
    if asked.signal.load(Ordering::SeqCst) == 0 {
        listener.await;
    }
}

pub(crate) fn received() -> Option<i32> {
    let signal = ASKED.get()?.signal.load(Ordering::SeqCst);
    (signal != 0).then_some(signal)
}
