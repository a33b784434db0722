//! How the disk of a log directory is to be used: sizes and depths of direct writes, and of reading ahead. What
//! `kring tune disk` has measured is in a file of the directory. Whatever is in its place, the directory opens: what is not
//! such a file is named and counts for nothing. Values only, but for the reading. Any core.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;

use kring_runtime::disk::ReadAhead;
use kring_runtime::fs;

use crate::segment::BLOCK_BYTES;

/// Beside the partitions; Apache Kafka looks at directories only.
pub const DISK_SETTINGS: &str = "kring-disk.properties";
/// A longer file is not read.
const LONGEST_BYTES: u64 = 16 << 10;

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;
/// Bounds of a write and of a read.
const LEAST_BYTES: u32 = 64 * KIB;
const MOST_BYTES: u32 = 16 * MIB;
const MOST_WRITES: usize = 1024;
const MOST_READS: usize = 64;
/// What one log that is being read may have on its way.
const MOST_AHEAD_BYTES: u32 = 64 << 20;

const WRITE: &str = "write.bytes";
const WRITES: &str = "writes.at.once";
const ZEROS: &str = "zeros.bytes";
const READ: &str = "read.bytes";
const READS: &str = "reads.at.once";
const ALL: &str = "all";
/// As the file has them.
pub const DISK_SETTING_NAMES: [&str; 5] = [WRITE, WRITES, ZEROS, READ, READS];

/// Settings of one log directory. All sizes are whole blocks of 4096 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// What has gathered goes out in direct writes of about so many bytes. 64 KiB to 16 MiB.
    pub write_bytes: u32,
    /// Direct writes that one shard has under way in this directory; `None` for one of each log. At most 1024.
    pub writes_at_once: Option<NonZeroUsize>,
    /// Zeros that a file is made longer by, at most, where small writes follow each other; zero for none. Else 16 KiB to
    /// 16 MiB.
    pub zeros_bytes: u32,
    /// A recovery reads a log in pieces of so many bytes. 64 KiB to 16 MiB.
    pub read_bytes: u32,
    /// Pieces that are on their way or looked at, within 64 MiB. 1 to 64.
    pub reads_at_once: NonZeroUsize,
}

impl Default for DiskSettings {
    fn default() -> DiskSettings {
        let ReadAhead { bytes, pieces } = ReadAhead::default();
        DiskSettings {
            write_bytes: MIB,
            writes_at_once: None,
            zeros_bytes: MIB,
            read_bytes: bytes,
            reads_at_once: pieces,
        }
    }
}

impl fmt::Display for DiskSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.pairs().map(|(name, value)| format!("{name}={value}"));
        f.write_str(&pairs.join(" "))
    }
}

impl DiskSettings {
    /// Each name with its value, as the file has them.
    pub fn pairs(&self) -> [(&'static str, String); 5] {
        let writes = self.writes_at_once.map_or_else(|| ALL.to_owned(), |number| number.to_string());
        [
            (WRITE, self.write_bytes.to_string()),
            (WRITES, writes),
            (ZEROS, self.zeros_bytes.to_string()),
            (READ, self.read_bytes.to_string()),
            (READS, self.reads_at_once.to_string()),
        ]
    }

    /// The file, with these lines as a comment above.
    pub fn encode(&self, comment: &str) -> String {
        let comment: String = comment.lines().map(|line| format!("# {line}\n")).collect();
        let pairs: String = self.pairs().iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        comment + &pairs
    }

    /// Reads lines `name=value`; what is not named has its default.
    ///
    /// # Errors
    /// A sentence about the first line that cannot be, a value out of its bounds, or a name that is unknown or given
    /// twice. Nothing of such a file counts.
    pub fn parse(text: &str) -> Result<DiskSettings, String> {
        let mut settings = DiskSettings::default();
        let mut seen: Vec<&str> = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()))
                .ok_or_else(|| format!("line {number}: {line:?} is no name=value"))?;
            if seen.contains(&name) {
                return Err(format!("line {number}: {name} is there twice"));
            }
            seen.push(name);
            settings.set(name, value).map_err(|cause| format!("line {number}: {cause}"))?;
        }
        if seen.is_empty() { Err("it says nothing".to_owned()) } else { Ok(settings) }
    }

    /// Sets one by its name.
    ///
    /// # Errors
    /// A sentence about a name that is unknown or a value out of its bounds.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            WRITE => self.write_bytes = bytes(name, value, LEAST_BYTES)?,
            WRITES if value == ALL => self.writes_at_once = None,
            WRITES => self.writes_at_once = Some(count(name, value, MOST_WRITES)?),
            ZEROS if value == "0" => self.zeros_bytes = 0,
            ZEROS => self.zeros_bytes = bytes(name, value, 16 * KIB)?,
            READ => self.read_bytes = bytes(name, value, LEAST_BYTES)?,
            READS => self.reads_at_once = count(name, value, MOST_READS)?,
            _ => return Err(format!("{name:?} is not known")),
        }
        Ok(())
    }

    /// How a recovery reads: long pieces are fewer, so that no log takes more memory than it may.
    pub(crate) fn read_ahead(&self) -> ReadAhead {
        let most = (MOST_AHEAD_BYTES / self.read_bytes) as usize;
        let pieces = NonZeroUsize::new(most).map_or(NonZeroUsize::MIN, |most| most.min(self.reads_at_once));
        ReadAhead { bytes: self.read_bytes, pieces }
    }

    /// Those of a directory. Never an error: the disk works without, as far as this goes.
    pub(crate) async fn of(dir: &Path) -> DiskSettings {
        let path = dir.join(DISK_SETTINGS);
        match read(&path).await {
            Ok(None) => DiskSettings::default(),
            Ok(Some(settings)) => {
                tracing::info!(path = %path.display(), %settings, "disk settings read");
                settings
            }
            Err(cause) => {
                let settings = DiskSettings::default();
                tracing::warn!(path = %path.display(), %cause, %settings, "disk settings are not used; these hold instead");
                settings
            }
        }
    }
}

/// `None` when there is no such file. What has no length is not read: it may never end.
async fn read(path: &Path) -> Result<Option<DiskSettings>, String> {
    let entry = match fs::metadata(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| error.to_string())?,
    };
    if entry.is_dir || !(1..=LONGEST_BYTES).contains(&entry.len) {
        return Err("it is empty, too long, or no file".to_owned());
    }
    let bytes = fs::read(path).await.map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is no text".to_owned())?;
    DiskSettings::parse(text).map(Some)
}

fn bytes(name: &str, value: &str, least: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number: &u32| (least..=MOST_BYTES).contains(number));
    let number = number.filter(|number| number.is_multiple_of(BLOCK_BYTES));
    number.ok_or_else(|| {
        format!("{name}={value:?} is not a multiple of {BLOCK_BYTES} from {least} to {MOST_BYTES}")
    })
}

fn count(name: &str, value: &str, most: usize) -> Result<NonZeroUsize, String> {
    let number = value.parse().ok().filter(|number: &NonZeroUsize| number.get() <= most);
    number.ok_or_else(|| format!("{name}={value:?} is not from 1 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let settings = DiskSettings {
            write_bytes: 4 * MIB,
            writes_at_once: NonZeroUsize::new(8),
            zeros_bytes: 0,
            read_bytes: 256 * KIB,
            reads_at_once: NonZeroUsize::MIN,
        };
        for settings in [settings, DiskSettings::default()] {
            assert_eq!(DiskSettings::parse(&settings.encode("two\nlines")), Ok(settings));
            assert_eq!(settings.pairs().map(|(name, _)| name), DISK_SETTING_NAMES);
        }
    }

    #[test]
    fn what_is_not_named_has_its_default() {
        let read = DiskSettings::parse("write.bytes = 524288\r\n").unwrap();
        assert_eq!(read, DiskSettings { write_bytes: 512 * KIB, ..DiskSettings::default() });
    }

    #[test]
    fn a_file_that_is_wrong_anywhere_counts_for_nothing() {
        for wrong in [
            "",
            "# only a comment\n",
            "write.bytes",
            "write.bytes=1",
            "write.bytes=65537",
            "write.bytes=33554432",
            "write.bytes=99999999999999999999",
            "write.bytes=-65536",
            "writes.at.once=0",
            "writes.at.once=1025",
            "writes.at.once=some",
            "zeros.bytes=4096",
            "zeros.bytes=0\nzeros.bytes=0",
            "read.bytes=4096",
            "reads.at.once=0",
            "reads.at.once=65",
            "reads.at.once=all",
            "sleep.ms=1",
            "\u{0}",
        ] {
            assert!(DiskSettings::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_its_value_and_what_may_be_there() {
        let error = DiskSettings::parse("# measured\nzeros.bytes=0\nreads.at.once=900\n").unwrap_err();
        assert_eq!(error, "line 3: reads.at.once=\"900\" is not from 1 to 64");
    }

    #[test]
    fn a_log_that_is_read_takes_no_more_memory_than_it_may() {
        let settings = DiskSettings::parse("read.bytes=16777216\nreads.at.once=64").unwrap();
        assert_eq!(
            settings.read_ahead(),
            ReadAhead { bytes: 16 * MIB, pieces: NonZeroUsize::new(4).unwrap() }
        );
        assert_eq!(DiskSettings::default().read_ahead(), ReadAhead::default());
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_refused() {
        let mut noise = 1_u64;
        for _ in 0..5000 {
            let good = DiskSettings::default().encode("measured");
            let mut bytes = good.into_bytes();
            for _ in 0..4 {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (noise >> 40) as usize % bytes.len();
                bytes[at] = (noise >> 32) as u8;
            }
            if let Ok(settings) = DiskSettings::parse(&String::from_utf8_lossy(&bytes)) {
                let sizes = [settings.write_bytes, settings.read_bytes];
                assert!(sizes.iter().all(|size| (LEAST_BYTES..=MOST_BYTES).contains(size)), "{settings}");
                assert!(settings.zeros_bytes <= MOST_BYTES && settings.reads_at_once.get() <= MOST_READS);
            }
        }
    }
}
