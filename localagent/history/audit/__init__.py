"""The audit log: records chained by hashes, their reader and verifier."""
