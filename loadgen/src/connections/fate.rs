//! How a connection ended, in words that are few enough to count. Pure.

use std::io::ErrorKind;

use crate::client::ClientError;

/// Of one connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Named(&'static str),
    /// As rare as it says itself.
    Other,
}

/// What became of a connection that was `opened`, or was to be.
pub fn fate(error: &ClientError, opened: bool) -> Fate {
    let named = match (error, opened) {
        (ClientError::Connect { error, .. }, _) => return connecting(error),
        (ClientError::Closed, true) => "closed by the broker",
        (ClientError::Closed, false) => "closed by the broker before its first answer",
        (ClientError::Timeout, true) => "no answer in time",
        (ClientError::Timeout, false) => "not open in time",
        (ClientError::Io(error), true) if is_reset(error.kind()) => "reset by the broker",
        (ClientError::Io(error), false) if is_reset(error.kind()) => {
            "reset by the broker before its first answer"
        }
        _ => return Fate::Other,
    };
    Fate::Named(named)
}

fn connecting(error: &std::io::Error) -> Fate {
    const NO_DESCRIPTOR: i32 = 24;
    const NO_DESCRIPTOR_ANYWHERE: i32 = 23;
    Fate::Named(match (error.kind(), error.raw_os_error()) {
        (ErrorKind::ConnectionRefused, _) => "refused",
        (ErrorKind::TimedOut, _) => "no connection in time",
        (ErrorKind::AddrNotAvailable, _) => "no port left on this machine",
        (_, Some(NO_DESCRIPTOR | NO_DESCRIPTOR_ANYWHERE)) => "no descriptor left on this machine",
        (kind, _) if is_reset(kind) => "reset by the broker before its first answer",
        _ => return Fate::Other,
    })
}

fn is_reset(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;

    #[test]
    fn refusals_resets_and_closures_are_told_apart() {
        let connect = |error: Error| fate(&ClientError::Connect { to: String::new(), error }, false);
        assert_eq!(connect(ErrorKind::ConnectionRefused.into()), Fate::Named("refused"));
        assert_eq!(connect(Error::from_raw_os_error(24)), Fate::Named("no descriptor left on this machine"));
        let reset = || ClientError::Io(ErrorKind::ConnectionReset.into());
        assert_eq!(fate(&reset(), true), Fate::Named("reset by the broker"));
        assert_ne!(fate(&reset(), false), fate(&reset(), true));
        assert_eq!(fate(&ClientError::Closed, true), Fate::Named("closed by the broker"));
        assert_eq!(fate(&ClientError::FrameLength(3), true), Fate::Other);
    }
}
