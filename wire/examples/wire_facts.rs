//! Prints what this crate believes, one fact a line, for another implementation to check:
//! `api KEY NAME VERSION REQUEST_HEADER RESPONSE_HEADER STABLE`, `error CODE NAME RETRIABLE MESSAGE`,
//! `default NAME VERSION HEX` and `sample NAME VERSION HEX`. The samples are the same in each run.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use kring_wire::codec::{Ctx, Writer};
use kring_wire::{ApiKey, ErrorCode, Message};
use support::{Gen, Sample, for_each_message};

const SAMPLES: u64 = 25;

fn main() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    apis(&mut out)?;
    errors(&mut out)?;
    macro_rules! print_all {
        ($($message:path,)*) => {{ $(messages::<$message>(&mut out)?;)* }};
    }
    for_each_message!(print_all);
    out.flush()
}

fn apis(out: &mut impl Write) -> io::Result<()> {
    for key in ApiKey::all() {
        for version in key.versions() {
            let headers = (key.request_header_version(version), key.response_header_version(version));
            let stable = version <= key.max_stable_version();
            writeln!(out, "api {} {key} {version} {} {} {stable}", key.as_i16(), headers.0, headers.1)?;
        }
    }
    Ok(())
}

fn errors(out: &mut impl Write) -> io::Result<()> {
    for code in ErrorCode::all() {
        writeln!(out, "error {} {code} {} {}", code.0, code.is_retriable(), code.message())?;
    }
    Ok(())
}

fn messages<M: Message + Sample>(out: &mut impl Write) -> io::Result<()> {
    for version in M::MIN_VERSION..=M::MAX_VERSION {
        writeln!(out, "default {} {version} {}", M::NAME, hex(&M::default(), version))?;
        let c = Ctx { version, flexible: M::is_flexible(version) };
        for seed in 0..SAMPLES {
            let message = M::sample(&mut Gen::new(seed), c);
            writeln!(out, "sample {} {version} {}", M::NAME, hex(&message, version))?;
        }
    }
    Ok(())
}

/// The message in hexadecimal; `-` when it has no bytes.
fn hex<M: Message>(message: &M, version: i16) -> String {
    let mut w = Writer::new();
    message.encode(&mut w, version).expect("a sample suits its version");
    let bytes = w.into_bytes().expect("a sample has no file ranges");
    let digits = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    if digits.is_empty() { "-".to_owned() } else { digits }
}
