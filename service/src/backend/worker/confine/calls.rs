//! System calls, by seccomp (seccomp(2)): what a PKCS#11 module never needs is refused.
//!
//! A list of what is refused, not of what is allowed: a vendor's library may use any ordinary call, and must be able to
//! go on when it is told `EPERM`. What is ordinary for the whole service is the unit file's matter
//! (`SystemCallFilter=@system-service`), which the worker inherits.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::refused;
use crate::backend::BackendError;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Refused whatever their arguments.
const NEVER: &[i64] = &[
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    // Ways around this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Another view of the machine.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // Other rights.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    // The kernel, its keys and its clock.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_adjtimex,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
];
/// What other machines do not have.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[i64] = &[];

/// Calls of the x32 interface have this bit on the same machine, and a few have numbers of their own: with them every
/// rule here could be passed by.
#[cfg(target_arch = "x86_64")]
const X32_BIT: i64 = 0x4000_0000;
#[cfg(target_arch = "x86_64")]
const X32_OWN: std::ops::RangeInclusive<i64> = 512..=547;

/// Sockets within this machine.
const LOCAL: &[i32] = &[libc::AF_UNIX];
/// Sockets for a token that is reached over a network. Resolving its name takes netlink.
const NETWORK: &[i32] = &[
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// `false`: this kernel has no seccomp, or there is no filter for this machine.
pub(super) fn restrict(network: bool) -> Result<bool, BackendError> {
    let families = if network { NETWORK } else { LOCAL };
    let Ok(machine) = std::env::consts::ARCH.try_into() else {
        return Ok(false);
    };
    // With clone3 the flags are in memory, where a filter does not look: told that there is none, the C library takes
    // clone.
    let filters = [
        (never(), libc::EPERM),
        (processes()?, libc::EPERM),
        (rules([libc::SYS_clone3]), libc::ENOSYS),
        (sockets_but(families)?, libc::EAFNOSUPPORT),
    ];
    for (rules, errno) in filters {
        let action = SeccompAction::Errno(errno.cast_unsigned());
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, machine);
        let program: BpfProgram = filter
            .and_then(TryInto::try_into)
            .map_err(|problem| refused("seccomp", problem))?;
        match seccompiler::apply_filter(&program) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(problem))
                if problem.raw_os_error() == Some(libc::ENOSYS) =>
            {
                return Ok(false);
            }
            Err(problem) => return Err(refused("seccomp", problem)),
        }
    }
    Ok(true)
}

fn never() -> Rules {
    let own = x32_own().map(|number| (number, Vec::new()));
    let listed = NEVER.iter().chain(NEVER_HERE).copied();
    rules(listed).into_iter().chain(own).collect()
}

/// These calls, whatever their arguments.
fn rules(calls: impl IntoIterator<Item = i64>) -> Rules {
    let numbers = calls.into_iter().flat_map(numbers);
    numbers.map(|number| (number, Vec::new())).collect()
}

/// Sockets of no family but these.
fn sockets_but(families: &[i32]) -> Result<Rules, BackendError> {
    let others = families.iter().map(|family| {
        condition(
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Ne,
            family.cast_unsigned().into(),
        )
    });
    conditional(libc::SYS_socket, others.collect::<Result<_, _>>()?)
}

/// New processes; threads are none.
fn processes() -> Result<Rules, BackendError> {
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    let none = condition(SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), 0)?;
    conditional(libc::SYS_clone, vec![none])
}

/// About the first argument.
fn condition(
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(0, length, operator, value).map_err(|problem| refused("seccomp", problem))
}

/// A call for which all of these hold.
fn conditional(call: i64, conditions: Vec<SeccompCondition>) -> Result<Rules, BackendError> {
    let rule = SeccompRule::new(conditions).map_err(|problem| refused("seccomp", problem))?;
    Ok(numbers(call)
        .map(|number| (number, vec![rule.clone()]))
        .collect())
}

#[cfg(target_arch = "x86_64")]
fn numbers(call: i64) -> impl Iterator<Item = i64> {
    [call, call | X32_BIT].into_iter()
}
#[cfg(not(target_arch = "x86_64"))]
fn numbers(call: i64) -> impl Iterator<Item = i64> {
    std::iter::once(call)
}

#[cfg(target_arch = "x86_64")]
fn x32_own() -> impl Iterator<Item = i64> {
    X32_OWN.map(|number| number | X32_BIT)
}
#[cfg(not(target_arch = "x86_64"))]
fn x32_own() -> impl Iterator<Item = i64> {
    std::iter::empty()
}
