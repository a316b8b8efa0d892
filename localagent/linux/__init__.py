"""Linux system calls, seccomp filters and /proc; they import no other part of localagent."""
