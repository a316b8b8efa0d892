"""What users and projects add to localagent: rules, commands, prompts, tools, planners."""
