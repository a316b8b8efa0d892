"""Review a diff: new findings of the project's linters, and questions to the model by hunk."""
