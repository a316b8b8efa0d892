"""Linux facilities that confine a process: namespaces, Landlock, a system-call broker."""
