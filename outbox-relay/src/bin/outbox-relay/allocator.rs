//! Keeps the program's memory close to what it holds.

/// Blocks of this size and more are given back to the system as soon as they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 128 << 10;

/// Tells the GNU C library to keep its first limit for large blocks and to use one arena.
///
/// Otherwise it raises the limit with the first large payload that is freed, and later ones stay in its heaps, one for each thread: 5 MB
/// events took 60 MB instead of 33. See mallopt(3), `M_MMAP_THRESHOLD`.
pub(crate) fn keep_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(
            unsafe_code,
            reason = "the C library has no other way to be told, and nothing allocates on other threads yet"
        )]
        // SAFETY: `mallopt` takes two integers; it is called once, before the first thread is started.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}
