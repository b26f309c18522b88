//! The sockets of a service, from the kernel's tables.

use crate::service::Service;

/// A socket of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The kernel's table in `/proc/net` that lists it; empty if none of the known ones does.
    pub table: &'static str,
    /// Its line in the table.
    pub line: String,
}

/// The tables of `/proc/net` with sockets. `packet` and `raw` are there to detect forbidden ones.
const TABLES: [&str; 10] =
    ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "packet", "unix"];

impl Socket {
    /// All open sockets of a service's processes.
    pub fn all(service: &Service) -> Vec<Self> {
        let tables = TABLES.map(|table| {
            (table, std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default())
        });
        let inodes = service.processes().into_iter().flat_map(inodes);
        let found = inodes.map(|inode| {
            let mut all = tables.iter().flat_map(|(table, text)| {
                text.lines().skip(1).map(|line| (*table, line.to_owned()))
            });
            let mine = all.find(|(table, line)| field(line, inode_at(table)) == Some(&inode));
            mine.map_or(Self { table: "", line: inode.clone() }, |(table, line)| Self {
                table,
                line,
            })
        });
        found.collect()
    }

    /// Whether it accepts connections: a listening stream, a Unix socket that accepts or has a name.
    pub fn takes_connections(&self) -> bool {
        match self.table {
            // TCP_LISTEN (include/net/tcp_states.h).
            "tcp" | "tcp6" => field(&self.line, 3) == Some("0A"),
            // SS_CONNECTED is 03 (include/linux/net.h); bit 16 of the flags marks accepting sockets
            // (unix_seq_show); the eighth field is a name.
            "unix" => {
                let fields = [3, 5, 7].map(|at| field(&self.line, at));
                fields != [Some("00000000"), Some("03"), None]
            }
            _ => false,
        }
    }
}

fn field(line: &str, at: usize) -> Option<&str> {
    line.split_whitespace().nth(at)
}

fn inode_at(table: &str) -> usize {
    match table {
        "unix" => 6,
        "packet" => 8,
        _ => 9,
    }
}

fn inodes(pid: u32) -> Vec<String> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = fds.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    let inode = |link: std::path::PathBuf| {
        Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    links.filter_map(inode).collect()
}
