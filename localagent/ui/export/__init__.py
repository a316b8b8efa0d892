"""A recorded session as a document: for programs (JSON), for reading (Markdown, HTML)."""
