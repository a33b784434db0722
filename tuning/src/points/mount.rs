//! The mount that holds a path, from `mountinfo`. Pure.

pub(super) struct Mount {
    /// `major:minor`.
    pub device: String,
    pub point: String,
    pub kind: String,
    pub source: String,
    /// Those of the mount and those of the file system.
    pub options: Vec<String>,
}

impl Mount {
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|have| have == option)
    }
}

/// The mount whose point is the longest beginning of `path`; of several on one point, the last.
pub(super) fn holding(mountinfo: &str, path: &str) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(parse);
    mounts.filter(|mount| is_below(path, &mount.point)).max_by_key(|mount| mount.point.len())
}

fn is_below(path: &str, point: &str) -> bool {
    match path.strip_prefix(point.trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// See `proc_pid_mountinfo(5)`.
fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let before: Vec<&str> = before.split(' ').collect();
    let after: Vec<&str> = after.split(' ').collect();
    let [_, _, device, _, point, options, ..] = before.as_slice() else { return None };
    let [kind, source, super_options, ..] = after.as_slice() else { return None };
    let options = options.split(',').chain(super_options.split(','));
    Some(Mount {
        device: (*device).to_string(),
        point: unescaped(point),
        kind: (*kind).to_string(),
        source: unescaped(source),
        options: options.map(str::to_string).collect(),
    })
}

/// Spaces and the like are written as `\040`.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let digits = escaped.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match digits.filter(u8::is_ascii) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &escaped[3..];
            }
            None => {
                out.push('\\');
                rest = escaped;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
        28 27 8:1 / /srv/my\\040data rw,noatime shared:3 - xfs /dev/sda1 rw,attr2\n\
        29 27 0:5 / /srvx rw - tmpfs tmpfs rw\n\
        bad line - x\n";

    #[test]
    fn the_longest_mount_point_holds_a_path() {
        assert_eq!(holding(MOUNTS, "/srv/my data/kring").unwrap().kind, "xfs");
        assert_eq!(holding(MOUNTS, "/srv").unwrap().kind, "ext4");
        assert_eq!(holding(MOUNTS, "/srvx").unwrap().kind, "tmpfs");
        assert!(holding("", "/").is_none());
    }

    #[test]
    fn options_of_mount_and_file_system_are_together() {
        let mount = holding(MOUNTS, "/home").unwrap();
        assert!(mount.has("relatime") && mount.has("discard") && !mount.has("noatime"));
    }
}
