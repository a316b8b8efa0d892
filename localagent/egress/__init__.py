"""The egress lock: no connection leaves the process except to destinations that a policy names."""
