//! The script that puts back what was found. It is also where the next apply reads what the first one found.
//! Pure.

const HEAD: &str = "#!/bin/sh\n\
    # Undo of `kring tune apply`: puts back what was found before the first one. Safe to run twice; what somebody else\n\
    # has changed since is named and left alone. The exit code is 1 when something is not as it was.\n";
const BOOT: &str = "# boot: ";
const FUNCTIONS: &str = r#"failed=0
now() {
  text=$(cat "$1") || return 1
  case $text in *\[*\]*) text=${text#*\[}; text=${text%%\]*} ;; esac
  set -f
  set -- $text
  echo "$*"
}
restore() {
  if ! is=$(now "$1"); then echo "not there: $1"; failed=1
  elif [ "$is" = "$3" ]; then echo "as it was: $1"
  elif [ "$is" != "$2" ]; then echo "changed since, left alone: $1 is $is"; failed=1
  elif printf '%s\n' "$3" > "$1" && [ "$(now "$1")" = "$3" ]; then echo "put back: $1 = $3"
  else echo "not put back: $1"; failed=1
  fi
}
"#;
const TAIL: &str = "exit $failed\n";
const RESTORE: &str = "restore ";

/// One file: what it holds after an apply, and what it held before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub path: String,
    pub set: String,
    pub found: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undo {
    /// What was found holds for this boot only: the next one begins with values of its own.
    pub boot: String,
    pub entries: Vec<Entry>,
}

impl Undo {
    /// Remembers a file; what was found first stays.
    pub fn add(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|known| known.path == entry.path) {
            Some(known) => known.set = entry.set,
            None => self.entries.push(entry),
        }
    }

    /// The script.
    ///
    /// # Errors
    /// The first text that would mean something to a shell.
    pub fn script(&self) -> Result<String, String> {
        let texts = self.entries.iter().flat_map(|entry| [&entry.path, &entry.set, &entry.found]);
        if let Some(odd) = texts.chain([&self.boot]).find(|text| !is_plain(text)) {
            return Err(odd.clone());
        }
        let line = |e: &Entry| format!("{RESTORE}'{}' '{}' '{}'\n", e.path, e.set, e.found);
        let lines: String = self.entries.iter().map(line).collect();
        Ok(format!("{HEAD}{BOOT}{}\n{FUNCTIONS}{lines}{TAIL}", self.boot))
    }

    /// What a script of this kind was made from; `None` for anything else, and for one that was cut short.
    pub fn parse(script: &str) -> Option<Undo> {
        let rest = script.strip_prefix(HEAD)?.strip_prefix(BOOT)?;
        let (boot, rest) = rest.split_once('\n')?;
        let lines = rest.strip_prefix(FUNCTIONS)?.strip_suffix(TAIL)?;
        let entries = lines.lines().map(entry).collect::<Option<Vec<_>>>()?;
        Some(Undo { boot: boot.to_string(), entries })
    }
}

fn entry(line: &str) -> Option<Entry> {
    let parts: Vec<&str> = line.strip_prefix(RESTORE)?.split('\'').collect();
    let ["", path, " ", set, " ", found, ""] = parts.as_slice() else { return None };
    let [path, set, found] = [path, set, found].map(|text| (*text).to_string());
    Some(Entry { path, set, found })
}

/// Nothing that ends a quotation or a line; the kernel lets a network card have nearly any name.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || " ,._-+/:!@%=".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(path: &str, set: &str, found: &str) -> Entry {
        Entry { path: path.to_string(), set: set.to_string(), found: found.to_string() }
    }

    #[test]
    fn a_script_is_read_back_as_what_it_was_made_from() {
        let entries = vec![entry_of("/proc/sys/vm/swappiness", "1", "60"), entry_of("/a", "9092", "")];
        let undo = Undo { boot: "ab-1".to_string(), entries };
        assert_eq!(Undo::parse(&undo.script().unwrap()), Some(undo));
    }

    #[test]
    fn what_was_found_first_stays() {
        let mut undo = Undo { boot: String::new(), entries: vec![entry_of("/a", "1", "60")] };
        undo.add(entry_of("/a", "2", "1"));
        assert_eq!(undo.entries, [entry_of("/a", "2", "60")]);
    }

    #[test]
    fn names_that_mean_something_to_a_shell_are_refused() {
        for odd in ["/sys/class/net/a'b/queues", "/x\ny", "$(id)", "`id`", "a\\", "é"] {
            let undo = Undo { boot: String::new(), entries: vec![entry_of(odd, "1", "0")] };
            assert_eq!(undo.script(), Err(odd.to_string()));
        }
    }

    #[test]
    fn a_script_of_another_kind_or_a_part_of_one_is_none() {
        let undo = Undo { boot: "b".to_string(), entries: vec![entry_of("/a", "1", "2")] };
        let script = undo.script().unwrap();
        assert_eq!(Undo::parse("#!/bin/sh\nrm -rf /\n"), None);
        for end in 0..script.len() {
            assert_eq!(Undo::parse(&script[..end]), None, "cut at {end}");
        }
    }
}
