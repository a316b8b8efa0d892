"""The guard: permissions (may it?) and sandboxes (what can it touch?)."""
