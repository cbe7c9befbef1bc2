//! Who this relay is, and whether another one is known to be dead.

use std::fs;

use outbox_core::lease::RelayIdentity;
use uuid::Uuid;

/// This process under the given relay name.
pub(crate) fn of_this_process(name: &str) -> RelayIdentity {
    let process_id = i64::from(std::process::id());
    RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: name.to_owned(),
        host: host(),
        process_id,
        process_started: started(process_id).unwrap_or_default(),
    }
}

/// Whether `owner` ran under the same name on this host and its process has ended: its lease can be taken at once.
pub(crate) fn is_dead_predecessor(owner: &RelayIdentity, me: &RelayIdentity) -> bool {
    owner.name == me.name
        && owner.host == me.host
        && !owner.process_started.is_empty()
        && started(owner.process_id).is_none_or(|started| started != owner.process_started)
}

/// The host's name, with its boot and its process namespace: only within one of each does a process id mean anything.
fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    format!("{name} {} {namespace}", boot.trim()).trim_end().to_owned()
}

/// When a process began, in clock ticks since boot: field 22 of `/proc/<pid>/stat`, see proc(5). `None` where it does not
/// run, or has ended and only waits for its parent to take notice; and where the system has no such file: then nobody is
/// taken for dead, because nobody recorded a start either.
fn started(process_id: i64) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    let mut after_name = stat.rsplit_once(')')?.1.split_whitespace();
    let state = after_name.next()?;
    let ended = matches!(state, "Z" | "X" | "x");
    if ended { None } else { after_name.nth(18).map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ended_process_of_the_same_name_and_host_is_dead() {
        let me = of_this_process("a");
        assert!(!is_dead_predecessor(&me, &me), "a living process");
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process_id = i64::from(child.id());
        let process_started = started(process_id).unwrap();
        let dead = RelayIdentity { process_id, process_started, ..me.clone() };
        assert!(!is_dead_predecessor(&dead, &me), "it waits for input");
        child.kill().unwrap();
        while !is_dead_predecessor(&dead, &me) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(is_dead_predecessor(&dead, &me));
        assert!(!is_dead_predecessor(&RelayIdentity { name: "b".into(), ..dead.clone() }, &me));
        assert!(!is_dead_predecessor(&RelayIdentity { host: "elsewhere".into(), ..dead.clone() }, &me));
        assert!(!is_dead_predecessor(&RelayIdentity { process_started: String::new(), ..dead.clone() }, &me));
        let reused = RelayIdentity { process_id: me.process_id, process_started: "1".into(), ..dead };
        assert!(is_dead_predecessor(&reused, &me), "the id belongs to a later process");
    }
}
