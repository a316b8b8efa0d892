"""What this machine has and what localagent would do on it; `localagent doctor` shows it."""
