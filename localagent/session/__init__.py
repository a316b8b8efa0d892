"""One conversation: its composition, its records, its replay."""
