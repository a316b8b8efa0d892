"""Log files: a digest of templates, times, bursts and rare lines, in bounded memory."""
