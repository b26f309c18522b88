//! Other users: a stranger can neither read nor write; a user in the readers' group can only read.

use std::ffi::CString;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::Duration;

use vas_frame::{Access, Nv12Image, OpenError, ReadError, Reader};

use super::part::{self, Part};
use super::rig::{
    READERS_GROUP, STRANGER, Scratch, camera, claim_for, epoch, is_right, is_root, open, options,
    publish, size,
};

const FILES: [&str; 3] = ["frame.meta", "frame.data", "readers"];
const LOCK_FILES: [&str; 2] = ["gate/.writer", ".admission"];

/// A user who may read.
pub(crate) fn read(root: &Path) {
    let mut reader = Reader::options().dir(root).open(camera()).unwrap();
    let frame = reader.latest().unwrap();
    assert!(is_right(&frame, &mut Nv12Image::default()));
    let mut attempts = Attempts::default();
    for name in FILES {
        attempts.on_open_file(&root.join("gate").join(name));
    }
    harm(root, &mut attempts);
    for name in LOCK_FILES {
        attempts.refused("open", name, File::open(root.join(name)));
    }
    assert!(frame.still_valid());
    eprintln!("refused {}", attempts.refused);
}

/// A user who may read and follows the next writer.
pub(crate) fn follow(root: &Path) {
    let mut reader = Reader::options().dir(root).open(camera()).unwrap();
    let last = reader.latest().unwrap().meta().frame_id;
    eprintln!("attached");
    loop {
        match reader.seek(last).set_timeout(Duration::from_millis(20)).newer() {
            Ok(_) => return eprintln!("followed"),
            Err(ReadError::Open(error)) => panic!("an attached reader got: {error}"),
            Err(_) => eprintln!("waiting"),
        }
    }
}

/// A user without any permission.
pub(crate) fn intrude(root: &Path) {
    let error = Reader::options().dir(root).open(camera()).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert!(error.to_string().contains("Permission denied"), "{error}");
    let mut attempts = Attempts::default();
    attempts.refused("list", "root", std::fs::read_dir(root));
    attempts.refused("list", "camera", std::fs::read_dir(root.join("gate")));
    for name in FILES {
        attempts.refused("open", name, File::open(root.join("gate").join(name)));
    }
    harm(root, &mut attempts);
    eprintln!("refused {}", attempts.refused);
}

/// Attempts by path alone.
fn harm(root: &Path, attempts: &mut Attempts) {
    let dir = root.join("gate");
    let aside = root.with_file_name("aside");
    for name in FILES {
        let path = dir.join(name);
        attempts.refused("write", name, OpenOptions::new().write(true).open(&path));
        attempts.refused("append", name, OpenOptions::new().append(true).open(&path));
        attempts.refused(
            "truncate",
            name,
            OpenOptions::new().write(true).truncate(true).open(&path),
        );
        attempts.refused(
            "chmod",
            name,
            std::fs::set_permissions(&path, Permissions::from_mode(0o666)),
        );
        attempts.refused("unlink", name, std::fs::remove_file(&path));
        attempts.refused("move away", name, std::fs::rename(&path, &aside));
        std::fs::write(&aside, "another").unwrap();
        attempts.refused("replace", name, std::fs::rename(&aside, &path));
        std::fs::remove_file(&aside).unwrap();
    }
    for dir in [root, &dir] {
        attempts.refused("create in", "directory", File::create(dir.join("new")));
        attempts.refused("link in", "directory", symlink("/", dir.join("link")));
        attempts.refused("mkdir in", "directory", std::fs::create_dir(dir.join("dir")));
        attempts.refused(
            "chmod",
            "directory",
            std::fs::set_permissions(dir, Permissions::from_mode(0o777)),
        );
        attempts.refused("remove", "directory", std::fs::remove_dir(dir));
        attempts.refused("move", "directory", std::fs::rename(dir, &aside));
    }
}

/// Counts refused attempts; panics on one that succeeds.
#[derive(Default)]
struct Attempts {
    refused: u32,
}

impl Attempts {
    fn refused<T>(&mut self, what: &str, name: &str, done: io::Result<T>) {
        assert!(done.is_err(), "could {what} {name}");
        self.refused += 1;
    }

    fn refused_call(&mut self, what: &str, path: &Path, returned: libc::c_long) {
        assert_eq!(returned, -1, "could {what} {}", path.display());
        self.refused += 1;
    }

    /// Attempts with a file opened for reading.
    fn on_open_file(&mut self, path: &Path) {
        let file = File::open(path).unwrap();
        let fd = file.as_raw_fd();
        self.refused(
            "reopen",
            "descriptor",
            OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}")),
        );
        self.refused("set the length", "descriptor", file.set_len(0));
        self.refused("write", "descriptor", io::Write::write(&mut &file, b"x"));
        self.refused("chmod", "descriptor", file.set_permissions(Permissions::from_mode(0o666)));
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let mut write_lock: libc::flock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: 0,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open, the string ends in NUL, the lock is valid, and a mapping that
        // fails accesses no memory.
        unsafe {
            self.refused_call("punch", path, libc::fallocate(fd, punch, 0, 4096).into());
            self.refused_call("chown", path, libc::fchown(fd, STRANGER, STRANGER).into());
            self.refused_call(
                "set times of",
                path,
                libc::futimens(fd, [libc::timespec { tv_sec: 0, tv_nsec: 0 }; 2].as_ptr()).into(),
            );
            self.refused_call(
                "seal",
                path,
                libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_WRITE).into(),
            );
            self.refused_call(
                "lease",
                path,
                libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK).into(),
            );
            self.refused_call(
                "write-lock",
                path,
                libc::fcntl(fd, libc::F_OFD_SETLK, &raw mut write_lock).into(),
            );
            self.refused_call(
                "mark",
                path,
                libc::setxattr(name.as_ptr(), c"user.x".as_ptr(), c"1".as_ptr().cast(), 1, 0)
                    .into(),
            );
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let map = libc::mmap(std::ptr::null_mut(), 4096, prot, libc::MAP_SHARED, fd, 0);
            self.refused_call("map", path, map as libc::c_long);
        }
        if file.metadata().unwrap().len() > 0 {
            self.on_mapping(path, fd);
        }
    }

    fn on_mapping(&mut self, path: &Path, fd: i32) {
        // SAFETY: a new mapping at an address that the kernel chooses.
        let map = unsafe {
            libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, fd, 0)
        };
        assert_ne!(map, libc::MAP_FAILED);
        // SAFETY: the page is mapped, and no reference points into it.
        unsafe {
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            self.refused_call("make writable", path, libc::mprotect(map, 4096, prot).into());
            self.refused_call("free", path, libc::madvise(map, 4096, libc::MADV_REMOVE).into());
        }
    }
}

/// A file's owner, inode and size.
fn identity(path: &Path) -> (u64, u32, u32, u32, u64) {
    let stat = path.symlink_metadata().unwrap();
    (stat.ino(), stat.mode(), stat.uid(), stat.gid(), stat.size())
}

#[test]
fn a_reader_can_only_read_and_a_stranger_not_even_that() {
    if !is_root("running as other users") {
        return;
    }
    let place = Scratch::new();
    let root = place.root();
    // Like /dev/shm: anybody may create files, only the owner may remove them.
    std::fs::set_permissions(root.parent().unwrap(), Permissions::from_mode(0o1777)).unwrap();
    let access = Access { group: Some(READERS_GROUP), ..Access::default() };
    let mut export = claim_for(&root, access).unwrap();
    let mut writer = open(&mut export, size(64, 64), options(4, Duration::ZERO)).unwrap();
    publish(&mut writer, 1, epoch(&place.camera())).unwrap();
    // The admission lock file exists until a writer leaves.
    assert!(LOCK_FILES.iter().all(|name| root.join(name).exists()));
    let all = ["", "gate", "gate/frame.meta", "gate/frame.data", "gate/readers", "gate/.writer"];
    let before = all.map(|name| identity(&root.join(name)));

    for (name, gid, least) in [("users::read", READERS_GROUP, 70), ("users::intrude", STRANGER, 35)]
    {
        let mut command = part::command(name, &root, &[]);
        command.uid(STRANGER).gid(gid);
        let mut user = Part::start(command);
        let refused = user.number("refused");
        assert!(refused >= least, "{refused}");
        assert!(user.ended().success());
        println!("{name}: {refused} attempts, all refused");
    }
    assert_eq!(all.map(|name| identity(&root.join(name))), before);
    assert!(export.housekeep());
    assert!(is_right(&place.reader().latest().unwrap(), &mut Nv12Image::default()));
}

/// A writer that died after it created the directory, before it gave it to the readers' group.
#[test]
fn a_reader_of_another_user_waits_for_a_directory_that_is_still_private() {
    if !is_root("running as other users") {
        return;
    }
    let place = Scratch::new();
    let root = place.root();
    std::fs::set_permissions(root.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let access = Access { group: Some(READERS_GROUP), ..Access::default() };
    let exports = |id| {
        let mut export = claim_for(&root, access).unwrap();
        let mut writer = open(&mut export, size(64, 64), options(4, Duration::ZERO)).unwrap();
        publish(&mut writer, export.first_frame_id() + id, epoch(&place.camera())).unwrap();
        (writer, export)
    };
    let first = exports(0);
    let mut command = part::command("users::follow", &root, &[]);
    command.uid(STRANGER).gid(READERS_GROUP);
    let mut reader = Part::start(command);
    assert_eq!(reader.word(), "attached");
    drop(first);
    std::fs::create_dir(&root).unwrap();
    std::fs::set_permissions(&root, Permissions::from_mode(0o1700)).unwrap();
    (0..5).for_each(|_| assert_eq!(reader.word(), "waiting"));
    let second = exports(1);
    while reader.word() != "followed" {}
    drop(second);
    place.is_left_empty();
}
