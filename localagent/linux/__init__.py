"""System calls and seccomp filters by ctypes; nothing else of the package is imported here."""
