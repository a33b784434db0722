//! The names on a simulated disk: which are there now, which are durable, and the changes in between.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::parent;
use crate::sim::disk::SimFile;

#[derive(Clone)]
pub(crate) enum Node {
    Dir,
    File(Arc<SimFile>),
}

#[derive(Clone)]
enum Change {
    Insert(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Change {
    fn touches(&self, dir: &Path) -> bool {
        match self {
            Self::Insert(path, _) | Self::Remove(path) => parent(path) == dir,
            Self::Rename(from, to) => parent(from) == dir || parent(to) == dir,
        }
    }
}

type Tree = BTreeMap<PathBuf, Node>;

#[derive(Default)]
pub(crate) struct Names {
    live: Tree,
    durable: Tree,
    changes: Vec<Change>,
}

fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// The roots of every path exist always.
fn is_root(path: &Path) -> bool {
    path.parent().is_none() || path == Path::new(".")
}

fn apply(tree: &mut Tree, change: &Change) {
    match change {
        Change::Insert(path, node) => {
            tree.insert(path.clone(), node.clone());
        }
        Change::Remove(path) => tree.retain(|name, _| !name.starts_with(path)),
        Change::Rename(from, to) => {
            let moved: Vec<_> = tree.keys().filter(|name| name.starts_with(from)).cloned().collect();
            for old in moved {
                let rest = old.strip_prefix(from).expect("it begins so");
                let new = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                if let Some(node) = tree.remove(&old) {
                    if let Node::File(file) = &node {
                        file.renamed(&new);
                    }
                    tree.insert(new, node);
                }
            }
        }
    }
}

impl Names {
    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.changes.push(change);
    }

    pub(crate) fn get(&self, path: &Path) -> io::Result<Node> {
        if is_root(path) {
            return Ok(Node::Dir);
        }
        self.live.get(path).cloned().ok_or_else(|| errno(libc::ENOENT))
    }

    pub(crate) fn file(&self, path: &Path) -> io::Result<Arc<SimFile>> {
        match self.get(path)? {
            Node::File(file) => Ok(file),
            Node::Dir => Err(errno(libc::EISDIR)),
        }
    }

    fn check_dir(&self, path: &Path) -> io::Result<()> {
        match self.get(path)? {
            Node::Dir => Ok(()),
            Node::File(_) => Err(errno(libc::ENOTDIR)),
        }
    }

    pub(crate) fn insert(&mut self, path: &Path, node: Node) -> io::Result<()> {
        self.check_dir(parent(path))?;
        self.change(Change::Insert(path.to_owned(), node));
        Ok(())
    }

    pub(crate) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let missing: Vec<_> =
            path.ancestors().filter(|dir| !dir.as_os_str().is_empty() && self.get(dir).is_err()).collect();
        for dir in missing.into_iter().rev() {
            self.insert(dir, Node::Dir)?;
        }
        self.check_dir(path)
    }

    pub(crate) fn children(&self, path: &Path) -> io::Result<Vec<(String, Node)>> {
        self.check_dir(path)?;
        let inside = self.live.iter().filter(|(name, _)| !is_root(name) && parent(name) == path);
        Ok(inside
            .filter_map(|(name, node)| Some((name.file_name()?.to_str()?.to_owned(), node.clone())))
            .collect())
    }

    pub(crate) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    pub(crate) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.check_dir(path)?;
        self.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.get(from)?;
        self.check_dir(parent(to))?;
        match (node, self.live.get(to)) {
            (Node::Dir, Some(Node::Dir)) if self.children(to)?.is_empty() => {}
            (Node::Dir, Some(Node::Dir)) => return Err(errno(libc::ENOTEMPTY)),
            (Node::Dir, Some(Node::File(_))) => return Err(errno(libc::ENOTDIR)),
            (Node::File(_), Some(Node::Dir)) => return Err(errno(libc::EISDIR)),
            _ => {}
        }
        self.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Makes the changes to this directory's names durable. Those to other directories stay pending.
    pub(crate) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        self.check_dir(dir)?;
        let (now, later) = self.changes.drain(..).partition(|change| change.touches(dir));
        let now: Vec<Change> = now;
        self.changes = later;
        for change in &now {
            apply(&mut self.durable, change);
        }
        // A rename on the durable tree must not undo what the live tree calls its files.
        for (path, node) in &self.live {
            if let Node::File(file) = node {
                file.renamed(path);
            }
        }
        Ok(())
    }

    /// How many changes are not durable.
    pub(crate) fn pending(&self) -> usize {
        self.changes.len()
    }

    /// Keeps the first `kept` pending changes, loses the others, and with them what no name leads to any more.
    pub(crate) fn crash(&mut self, kept: usize) {
        for change in self.changes.drain(..).take(kept) {
            apply(&mut self.durable, &change);
        }
        let tree = &self.durable;
        let reachable = |path: &Path| {
            path.ancestors()
                .skip(1)
                .all(|dir| dir.as_os_str().is_empty() || is_root(dir) || tree.contains_key(dir))
        };
        let live = tree.iter().filter(|(path, _)| reachable(path));
        self.live = live.map(|(path, node)| (path.clone(), node.clone())).collect();
        self.durable = self.live.clone();
        for (path, node) in &self.live {
            if let Node::File(file) = node {
                file.renamed(path);
            }
        }
    }

    pub(crate) fn files(&self) -> Vec<Arc<SimFile>> {
        let file = |node: &Node| match node {
            Node::File(file) => Some(file.clone()),
            Node::Dir => None,
        };
        self.live.values().filter_map(file).collect()
    }

    pub(crate) fn file_paths(&self) -> Vec<PathBuf> {
        self.live
            .iter()
            .filter(|(_, node)| matches!(node, Node::File(_)))
            .map(|(path, _)| path.clone())
            .collect()
    }
}
