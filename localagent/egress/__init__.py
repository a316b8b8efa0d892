"""The egress lock: connections leave the process only for destinations that the policy names."""
