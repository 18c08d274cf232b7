//! Whether anybody but the host's user and root could change a file, or put another in its place.
//!
//! Looks at the file that is open, and at every directory in which the system looked on the way
//! to it, behind links as well. Where nobody else may write, nobody can have changed what was
//! looked at before, so what is checked one after the other holds together.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use super::{
    error::{LoadCode, LoadError},
    process,
};

/// Whoever writes there can delete only what is his own.
const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// As many links as Linux follows in one path.
const MAX_LINKS: usize = 40;

/// Checks a file that was opened by this path: itself, and the ways to it.
///
/// `facts` are those of the open file, so that what is read is what is checked.
pub(super) fn check_file(path: &Path, facts: &Metadata, any_owner: bool) -> Result<(), LoadError> {
    let check = Check { any_owner };
    check.entry("it", facts, false)?;
    let way = Way::to(path).map_err(|error| LoadError::io("examine the way to", path, &error))?;
    let found = fs::symlink_metadata(&way.end).map_err(|error| LoadError::io("examine", &way.end, &error))?;
    if (found.dev(), found.ino()) != (facts.dev(), facts.ino()) {
        return Err(LoadError::new(LoadCode::Io, "it was replaced while it was examined, try again"));
    }
    check.way(&way, path.parent())
}

/// Checks a directory and the ways to it.
pub(super) fn check_directory(path: &Path, any_owner: bool) -> Result<(), LoadError> {
    let inside = path.join("any");
    let way = Way::to(&inside).map_err(|error| LoadError::io("examine the way to", path, &error))?;
    Check { any_owner }.way(&way, Some(path))
}

/// What a path goes through.
struct Way {
    /// Directories something was looked up in.
    directories: BTreeSet<PathBuf>,
    /// Links that were followed.
    links: BTreeSet<PathBuf>,
    /// Where it ends; neither this nor anything above it is a link.
    end: PathBuf,
}

impl Way {
    /// Follows an absolute path by itself, since the system does not say what it went through.
    fn to(path: &Path) -> io::Result<Self> {
        let mut way = Self { directories: BTreeSet::new(), links: BTreeSet::new(), end: PathBuf::from("/") };
        // The next one is the last.
        let mut ahead = steps(path);
        while let Some(step) = ahead.pop() {
            if step == ".." {
                way.end.pop();
                continue;
            }
            way.directories.insert(way.end.clone());
            let next = way.end.join(step);
            let is_link = match fs::symlink_metadata(&next) {
                Ok(facts) => facts.is_symlink(),
                // The end of the way need not be there.
                Err(error) if error.kind() == io::ErrorKind::NotFound && ahead.is_empty() => false,
                Err(error) => return Err(error),
            };
            if !is_link {
                way.end = next;
                continue;
            }
            if way.links.len() == MAX_LINKS || !way.links.insert(next.clone()) {
                return Err(io::Error::other("too many links, or a link to itself"));
            }
            let target = fs::read_link(&next)?;
            if target.is_absolute() {
                way.end = PathBuf::from("/");
            }
            ahead.extend(steps(&target));
        }
        Ok(way)
    }
}

/// Returns the names in a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect()
}

struct Check {
    any_owner: bool,
}

impl Check {
    /// `holder` is where somebody looks for files: whoever may add one there has the host run it.
    fn way(&self, way: &Way, holder: Option<&Path>) -> Result<(), LoadError> {
        let examine = |path: &Path| fs::symlink_metadata(path).map_err(|error| LoadError::io("examine", path, &error));
        let holder = holder.and_then(|holder| fs::canonicalize(holder).ok());
        for directory in &way.directories {
            let is_holder = holder.as_deref() == Some(directory) || way.end.parent() == Some(directory);
            let what = if is_holder {
                format!("its directory {}", directory.display())
            } else {
                format!("the directory {} above it", directory.display())
            };
            self.entry(&what, &examine(directory)?, !is_holder)?;
        }
        for link in &way.links {
            let facts = examine(link)?;
            self.owner(&format!("the link {}", link.display()), &facts)?;
        }
        Ok(())
    }

    fn entry(&self, what: &str, facts: &Metadata, sticky_will_do: bool) -> Result<(), LoadError> {
        self.owner(what, facts)?;
        if sticky_will_do && facts.mode() & STICKY != 0 {
            return Ok(());
        }
        if facts.mode() & OTHERS_WRITE != 0 {
            return Err(LoadError::new(
                LoadCode::Untrusted,
                format!(
                    "everybody may write to {what}, so anybody could change what the host runs; remove the permission (chmod o-w)"
                ),
            ));
        }
        if facts.mode() & GROUP_WRITES != 0 && !is_harmless_group(facts.gid()) {
            return Err(LoadError::new(
                LoadCode::Untrusted,
                format!(
                    "group {} may write to {what}, so its members could change what the host runs; remove the permission (chmod g-w)",
                    facts.gid()
                ),
            ));
        }
        Ok(())
    }

    fn owner(&self, what: &str, facts: &Metadata) -> Result<(), LoadError> {
        let me = process::user();
        if !self.any_owner && facts.uid() != me && facts.uid() != 0 {
            return Err(LoadError::new(
                LoadCode::Untrusted,
                format!("{what} belongs to user {}, the host runs as user {me}; change its owner (chown)", facts.uid()),
            ));
        }
        Ok(())
    }
}

/// Whether nobody but root and the host's user is in a group, as far as this machine's own files say.
fn is_harmless_group(gid: u32) -> bool {
    if gid == 0 {
        return true;
    }
    let (Ok(groups), Ok(users)) = (fs::read_to_string("/etc/group"), fs::read_to_string("/etc/passwd")) else {
        return false;
    };
    is_private(gid, process::user(), &groups, &users)
}

fn is_private(gid: u32, me: u32, groups: &str, users: &str) -> bool {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let is_mine = |uid: Option<u32>| uid.is_some_and(|uid| uid == me || uid == 0);
    let of_user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default().to_owned();
        (name, number(fields.nth(1)), number(fields.next()))
    };
    let users: Vec<_> = users.lines().map(of_user).collect();
    let Some(group) = groups.lines().find(|line| number(line.split(':').nth(2)) == Some(gid)) else { return false };
    let members = group.split(':').nth(3).unwrap_or_default().split(',').filter(|name| !name.is_empty());
    let mut listed = members.map(|member| users.iter().find(|(name, ..)| name == member));
    let mut by_default = users.iter().filter(|(_, _, primary)| *primary == Some(gid));
    listed.all(|user| user.is_some_and(|(_, uid, _)| is_mine(*uid))) && by_default.all(|(_, uid, _)| is_mine(*uid))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// `top/middle/p.so`, all of it fine.
    fn tree() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let holder = root.path().join("top/middle");
        fs::create_dir_all(&holder).unwrap();
        mode(&root.path().join("top"), 0o755);
        mode(&holder, 0o755);
        let file = holder.join("p.so");
        fs::write(&file, "").unwrap();
        mode(&file, 0o644);
        (root, file)
    }

    #[track_caller]
    fn check(path: &Path, expected: Result<(), &str>) {
        let facts = fs::File::open(path).unwrap().metadata().unwrap();
        match (check_file(path, &facts, false), expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(words)) => {
                assert_eq!(error.code, LoadCode::Untrusted, "{error}");
                assert!(error.message.contains(words), "`{words}` is not in: {error}");
            }
            (checked, _) => panic!("{expected:?}, but {checked:?}"),
        }
    }

    #[test]
    fn what_only_its_owner_writes_is_fine() {
        check(&tree().1, Ok(()));
    }

    #[test]
    fn a_directory_far_above_that_others_may_write_to_is_refused_unless_it_is_sticky() {
        let (root, file) = tree();
        let top = root.path().join("top");
        mode(&top, 0o777);
        check(&file, Err("top above it"));
        mode(&top, 0o1777);
        check(&file, Ok(()));
        mode(file.parent().unwrap(), 0o1777);
        check(&file, Err("its directory"));
    }

    #[test]
    fn a_link_is_followed_and_every_directory_behind_it_is_examined() {
        let (root, file) = tree();
        let (linked, hop) = (root.path().join("linked"), root.path().join("hop"));
        for directory in [&linked, &hop] {
            fs::create_dir(directory).unwrap();
            mode(directory, 0o755);
        }
        symlink(&file, hop.join("next.so")).unwrap();
        symlink("../hop/next.so", linked.join("p.so")).unwrap();
        check(&linked.join("p.so"), Ok(()));
        mode(&hop, 0o777);
        check(&linked.join("p.so"), Err("hop above it"));
        mode(&hop, 0o755);
        mode(file.parent().unwrap(), 0o777);
        check(&linked.join("p.so"), Err("its directory"));
        mode(file.parent().unwrap(), 0o755);
        mode(&linked, 0o777);
        check(&linked.join("p.so"), Err("linked"));
    }

    #[test]
    fn a_file_put_in_the_place_of_the_open_one_is_noticed() {
        let (_root, file) = tree();
        let facts = fs::File::open(&file).unwrap().metadata().unwrap();
        fs::write(file.with_extension("new"), "").unwrap();
        fs::rename(file.with_extension("new"), &file).unwrap();
        let error = check_file(&file, &facts, false).unwrap_err();
        assert!(error.message.contains("replaced"), "{error}");
    }

    #[test]
    fn a_link_to_itself_is_an_error_and_not_an_endless_way() {
        let root = tempfile::tempdir().unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        assert!(Way::to(&root.path().join("loop/p.so")).is_err());
    }

    #[test]
    fn a_group_is_private_if_nobody_else_is_in_it() {
        let users = "root:x:0:0::/:\nme:x:1000:1000::/:\nother:x:1001:100::/:\n";
        let groups = "me:x:1000:\nusers:x:100:\nshared:x:2000:me,other\nlisted:x:2001:me,root\n";
        for (gid, expected) in [(1000, true), (100, false), (2000, false), (2001, true), (9, false)] {
            assert_eq!(is_private(gid, 1000, groups, users), expected, "{gid}");
        }
    }
}
