//! What the machine's kernel tells (proc(5)). What cannot be read counts as 0.

use std::{fs, path::Path, str::FromStr};

use nxmesh_core::model::SystemHealth;

/// The kernel counts in units of 512 bytes (`Documentation/admin-guide/iostats.rst`).
const SECTOR: u64 = 512;

/// Looks at the machine; knows what it saw before.
#[derive(Debug, Default)]
pub(super) struct System {
    /// Busy and all ticks of the processors.
    ticks: (u64, u64),
}

impl System {
    /// Reads small files of the kernel; blocks for no longer than `statvfs` does.
    pub(super) fn look(&mut self, state_dir: &Path) -> SystemHealth {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let before = std::mem::replace(&mut self.ticks, ticks(&read("/proc/stat")));
        let memory = read("/proc/meminfo");
        let (disk_total_bytes, disk_available_bytes) = disk(state_dir);
        let (read_sectors, written_sectors) = sectors(&read("/proc/diskstats"));
        let (network_received_bytes, network_sent_bytes) = network(&read("/proc/net/dev"));
        let files = read("/proc/sys/fs/file-nr");
        SystemHealth {
            cpu_busy_percent: busy(before, self.ticks),
            load_1m_percent: (nth::<f64>(&read("/proc/loadavg"), 0) * 100.0) as u32,
            memory_total_bytes: kilobytes(&memory, "MemTotal:"),
            memory_available_bytes: kilobytes(&memory, "MemAvailable:"),
            disk_total_bytes,
            disk_available_bytes,
            disk_read_bytes: read_sectors.saturating_mul(SECTOR),
            disk_written_bytes: written_sectors.saturating_mul(SECTOR),
            open_files: nth(&files, 0),
            max_open_files: nth(&files, 2),
            network_received_bytes,
            network_sent_bytes,
        }
    }
}

fn nth<T: FromStr + Default>(text: &str, index: usize) -> T {
    let word = text.split_ascii_whitespace().nth(index);
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Ticks spent busy, and all of them.
fn ticks(stat: &str) -> (u64, u64) {
    let line = stat.lines().find(|line| line.starts_with("cpu "));
    let ticks = line.unwrap_or_default().split_ascii_whitespace().skip(1);
    // user, nice, system, idle, iowait, irq, softirq, steal; those of guests are
    // among the first two already.
    let ticks: Vec<u64> = ticks.take(8).map(|it| it.parse().unwrap_or(0)).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

fn busy(before: (u64, u64), now: (u64, u64)) -> u32 {
    let (busy, all) = (
        now.0.saturating_sub(before.0),
        now.1.saturating_sub(before.1),
    );
    let percent = busy
        .saturating_mul(100)
        .checked_div(all)
        .unwrap_or_default();
    u32::try_from(percent.min(100)).unwrap_or(100)
}

fn kilobytes(memory: &str, name: &str) -> u64 {
    let line = memory.lines().find(|line| line.starts_with(name));
    nth::<u64>(line.unwrap_or_default(), 1).saturating_mul(1024)
}

fn disk(folder: &Path) -> (u64, u64) {
    nix::sys::statvfs::statvfs(folder).map_or((0, 0), |found| {
        let size = found.fragment_size();
        let blocks = (found.blocks(), found.blocks_available());
        (blocks.0.saturating_mul(size), blocks.1.saturating_mul(size))
    })
}

/// Sectors read and written by whole disks: a partition's are its disk's as well.
fn sectors(diskstats: &str) -> (u64, u64) {
    let mut total = (0_u64, 0_u64);
    let mut disk = "";
    for line in diskstats.lines() {
        let name = line.split_ascii_whitespace().nth(2).unwrap_or_default();
        let part = !disk.is_empty() && name.starts_with(disk);
        if part
            || ["loop", "ram", "dm-", "md"]
                .iter()
                .any(|it| name.starts_with(it))
        {
            continue;
        }
        disk = name;
        total.0 = total.0.saturating_add(nth(line, 5));
        total.1 = total.1.saturating_add(nth(line, 9));
    }
    total
}

fn network(dev: &str) -> (u64, u64) {
    let mut total = (0_u64, 0_u64);
    for line in dev.lines() {
        let Some((name, numbers)) = line.split_once(':') else {
            continue;
        };
        if name.trim() != "lo" {
            total.0 = total.0.saturating_add(nth(numbers, 0));
            total.1 = total.1.saturating_add(nth(numbers, 8));
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_read() {
        let mut system = System::default();
        let seen = system.look(Path::new("/"));
        assert!(seen.memory_total_bytes > 1 << 20, "{seen:?}");
        assert!(
            seen.memory_available_bytes < seen.memory_total_bytes,
            "{seen:?}"
        );
        assert!(seen.disk_total_bytes > 0, "{seen:?}");
        assert!(
            seen.open_files > 0 && seen.open_files <= seen.max_open_files,
            "{seen:?}"
        );
    }

    #[test]
    fn what_is_there_twice_counts_once() {
        let stats = "   8 0 sda 9 0 100 0 9 0 50 0 0\n   8 1 sda1 9 0 90 0 9 0 40 0 0\n \
                     259 0 nvme0n1 1 0 7 0 1 0 3 0 0\n 259 1 nvme0n1p1 1 0 7 0 1 0 3 0 0\n   \
                     7 0 loop0 1 0 1000 0 0 0 0 0 0\n";
        assert_eq!(sectors(stats), (107, 53));
        let dev =
            "Inter-| Receive\n face |bytes\n  lo: 5 0 0 0 0 0 0 0 5 0\neth0: 7 1 0 0 0 0 0 0 3 1\n";
        assert_eq!(network(dev), (7, 3));
        // Guests' time is among that of users.
        let stat = "cpu  10 0 10 70 10 0 0 0 10 0\ncpu0 1 1 1 1\n";
        assert_eq!(ticks(stat), (20, 100));
        assert_eq!(busy((0, 0), (20, 100)), 20);
        assert_eq!(busy((20, 100), (20, 100)), 0);
    }

    #[test]
    fn rubbish_counts_as_nothing() {
        for text in ["", "cpu", "cpu a b c\n", "::::\n\n", "MemTotal: x kB"] {
            assert_eq!(ticks(text), (0, 0), "{text}");
            assert_eq!(network(text), (0, 0), "{text}");
            assert_eq!(sectors(text), (0, 0), "{text}");
            assert_eq!(kilobytes(text, "MemTotal:"), 0, "{text}");
        }
    }
}
