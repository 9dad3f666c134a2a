//! The socket to which nginx writes a line for each request.

use std::{
    fs, io,
    net::Shutdown,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixDatagram,
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tracing::warn;

use super::Meters;

/// nginx's lines are shorter; of a longer datagram the rest is lost, and it does not
/// count.
const MAX_LINE_BYTES: usize = 2048;
/// With fewer nginx finds no room for its lines under load (unix(7)).
const ROOM: u32 = 128;

/// Reads lines until dropped.
///
/// A thread of its own reads: nginx never waits for a reader, so what the kernel has
/// no room for is lost, and nginx says so in its error log.
#[derive(Debug)]
pub(super) struct RequestLog {
    socket: Arc<UnixDatagram>,
    ended: Arc<AtomicBool>,
    path: PathBuf,
}

impl RequestLog {
    /// Takes the place of a socket that a dead agent left.
    pub(super) fn open(path: &Path, meters: Arc<Meters>) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::other("there is something else than a socket"));
            }
            Ok(_) => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = Arc::new(UnixDatagram::bind(path)?);
        // Workers run as another user. Whoever else gets here can count to it, no more.
        fs::set_permissions(path, fs::Permissions::from_mode(0o622))?;
        warn_of_little_room();
        let ended = Arc::new(AtomicBool::new(false));
        let (reading, end) = (Arc::clone(&socket), Arc::clone(&ended));
        let thread = thread::Builder::new().name("request-log".to_owned());
        thread.spawn(move || read(&reading, &end, &meters))?;
        Ok(Self {
            socket,
            ended,
            path: path.to_owned(),
        })
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread. What stays behind of the file leads nowhere.
        self.socket.shutdown(Shutdown::Both).ok();
        fs::remove_file(&self.path).ok();
    }
}

fn read(socket: &UnixDatagram, ended: &AtomicBool, meters: &Meters) {
    let mut datagram = [0; MAX_LINE_BYTES + 1];
    loop {
        match socket.recv(&mut datagram) {
            _ if ended.load(Ordering::Acquire) => return,
            // A longer one is cut, and not read as if it were whole.
            Ok(length) if length > MAX_LINE_BYTES => meters.requests.add(b""),
            Ok(length) => meters.requests.add(&datagram[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                warn!(%error, "requests are counted no more");
                return;
            }
        }
    }
}

fn warn_of_little_room() {
    let setting = "/proc/sys/net/unix/max_dgram_qlen";
    let room = fs::read_to_string(setting).ok();
    let room: Option<u32> = room.and_then(|text| text.trim().parse().ok());
    if let Some(room) = room.filter(|room| *room < ROOM) {
        warn!(
            room,
            "the system keeps few lines of the request log: under load some requests are not \
             counted, and nginx writes of it to its error log; `sysctl net.unix.max_dgram_qlen=512` \
             before the agent starts helps"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn lines_are_counted_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests");
        // One that a dead agent left.
        drop(UnixDatagram::bind(&path).unwrap());
        let meters = Arc::new(Meters::default());
        let log = RequestLog::open(&path, Arc::clone(&meters)).unwrap();
        let nginx = UnixDatagram::unbound().unwrap();
        nginx.connect(&path).unwrap();
        nginx.send(b"").unwrap();
        nginx.send(&[b'x'; 10_000]).unwrap();
        nginx
            .send(b"<190>Nov 27 01:50:28 nxmesh: 200\t0.002\t10\t-\ta")
            .unwrap();
        let begun = Instant::now();
        let told = || {
            let mut samples = super::super::sample::Samples::default();
            meters.requests.lines(&mut samples);
            format!("{:?}", samples.0)
        };
        while !(told().contains("Number(1.0)") && told().contains("Number(2.0)")) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{}", told());
            thread::yield_now();
        }
        drop(log);
        assert!(!path.exists());
        // The thread held the other one.
        while Arc::strong_count(&meters) > 1 {
            assert!(begun.elapsed() < Duration::from_secs(10), "it still reads");
            thread::yield_now();
        }
    }

    #[test]
    fn a_file_in_its_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests");
        fs::write(&path, "theirs").unwrap();
        assert!(RequestLog::open(&path, Arc::default()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    }
}
