"""The interactive session without a front end: it runs each line that the user enters."""
